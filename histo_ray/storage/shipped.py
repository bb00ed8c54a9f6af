"""Paths of a submitted job that lie in Ray's temporary copy of the working folder.

`ray job submit --working-dir .` copies the folder to the head and runs the job in the copy, which
Ray deletes some time after the job. A relative path then names something in the copy.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_origin

from histo_ray.config import Settings
from histo_ray.errors import ConfigError

_COPY = ("runtime_resources", "working_dir_files")
"""Folders in which Ray keeps copies, one below the other; a copy itself is one more below."""
WRITTEN = ("store", "log")
READ = ("manifest", "tiles", "test_tiles", "validation")
"""Read by processes on any node, and recorded as where data came from. Files that the job itself
reads once, such as labels, may be shipped."""


def check_shipped(config: Settings) -> None:
    """Refuse settings that name something in Ray's copy of the working folder.

    Raises:
        ConfigError: The store would be deleted with the job, or slides and tiles be read from it.
    """
    for name in (*WRITTEN, *READ):
        field = type(config).model_fields.get(name)
        if field is None or get_origin(field.annotation) is Literal:  # a choice of words, no path
            continue
        value: Any = getattr(config, name)
        if not isinstance(value, str) or value == "-" or not lies_in_copy(value):
            continue
        if name in WRITTEN:
            harm = "which Ray deletes after the job, so what is written there is lost"
        else:
            harm = "which other nodes do not read and Ray deletes after the job"
        raise ConfigError(
            f"{name} {value}: a relative path of a submitted job lies in Ray's temporary copy of "
            f"the working folder, {harm}; give an absolute path that every node has, or an "
            "s3:// or gs:// address"
        )


def lies_in_copy(path: str) -> bool:
    """Whether a local path, taken from the current folder, lies in such a copy."""
    if "://" in path:
        return False
    parts = Path(path).expanduser().absolute().parts
    return _COPY in pairwise(parts)
