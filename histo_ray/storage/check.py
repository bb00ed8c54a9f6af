"""Checks before work starts that a path or URI can be reached; a problem is one line."""

import os
from pathlib import Path

from histo_ray.errors import ConfigError
from histo_ray.storage import is_local, locate
from histo_ray.storage.trouble import Trouble, explain


def check_place(uri: str, what: str) -> None:
    """Ask an object store for `uri`: its bucket must be there, it need not.

    Args:
        uri: Local path, which is not looked at, or URI.
        what: What it is, for messages: `store`, `manifest`, `slide`.

    Raises:
        ConfigError: No access, another region, no bucket, or no response.
    """
    try:
        system, path = locate(uri, hurried=True)
        if is_local(system):
            return
        there = system.get_file_info(path).type.name != "NotFound"
        bucket = path.partition("/")[0]
        if not there and system.get_file_info(bucket).type.name == "NotFound":
            raise ConfigError(
                f"{what} {uri}: there is no bucket {bucket!r}; check the name, or create it"
            )
    except OSError as error:
        trouble = explain_here(error)
        raise ConfigError(f"{what} {uri}: {trouble.found}; {trouble.remedy}") from None


def check_folder(path: str | Path, what: str, *, to_write: bool = True) -> None:
    """Check that a local folder is there or can be made; nothing is made.

    Args:
        path: Local path, or a URI, which is not looked at.
        what: What it is, for messages: `store`, `pictures`, `cache_dir`.
        to_write: Whether files are to be written into it.

    Raises:
        ConfigError: It, or a folder above it, is a file or cannot be written.
    """
    if "://" in str(path):
        return
    folder = Path(path).expanduser().absolute()
    try:
        there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        found = "" if there.is_dir() else "is not a folder"
    except OSError as error:
        there, found = folder, f"cannot be used ({error.strerror})"
    if not found and to_write and not os.access(there, os.W_OK | os.X_OK):
        found = "is a folder that this user cannot write"
    if found:
        which = "it" if there == folder else str(there)
        raise ConfigError(f"{what} {path}: {which} {found}; name another folder")


def explain_here(error: OSError) -> Trouble:
    """What an error of pyarrow's means on this machine; see `explain`."""
    if "AWS Error" not in str(error):
        return explain(error)
    from histo_ray.storage.clouds import names_credentials

    return explain(error, anonymous=not names_credentials())
