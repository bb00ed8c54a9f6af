"""Turns a path or URI into a file system and a path on it. The one door to where bytes lie."""

import errno
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from histo_ray.errors import ConfigError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

ACCEPTED = "a local path, s3://bucket/... or gs://bucket/..."


def locate(uri: str, *, hurried: bool = False) -> "tuple[FileSystem, str]":
    """The file system that `uri` is on, and its path there.

    Args:
        uri: Local path (made absolute; `~` is the home folder), `file://`, `s3://` or `gs://`.
        hurried: Give up within seconds where an object store does not answer, as before work
            starts; else it is asked again for about a minute.

    Returns:
        File system, and a path without scheme and without a trailing slash.

    Raises:
        ConfigError: Another scheme, or no bucket.
    """
    from pyarrow import fs

    scheme, mark, rest = uri.partition("://")
    if not uri:
        raise ConfigError(f"storage: an empty path, wanted {ACCEPTED}; name a place")
    if not mark:
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    if scheme == "file":
        return fs.LocalFileSystem(), str(Path(unquote(rest)).absolute())
    if scheme not in ("s3", "gs"):
        raise ConfigError(
            f"storage {uri!r}: scheme {scheme}://, wanted {ACCEPTED}; copy the data or mount it"
        )
    bucket = rest.partition("/")[0]
    if not bucket:
        raise ConfigError(f"storage {uri!r}: no bucket, wanted {ACCEPTED}; name the bucket")
    from histo_ray.storage.clouds import open_gs, open_s3

    system = open_gs(hurried) if scheme == "gs" else open_s3(bucket, hurried)
    return system, rest.rstrip("/")


def read_file(system: "FileSystem", path: str, most_bytes: int) -> bytes:
    """All of a file that is held in memory as a whole.

    Pipes and devices never end, or never begin, so they are refused before they are opened.

    Args:
        system: From `locate`.
        path: From `locate`.
        most_bytes: Largest file that is read.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    if is_local(system) and not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    with system.open_input_file(path) as file:
        size = file.size()
        if size > most_bytes:
            raise OSError(errno.EFBIG, f"{size} bytes, wanted at most {most_bytes}", path)
        return bytes(file.read())


def is_local(system: "FileSystem") -> bool:
    """Whether `system` is this machine's own file system."""
    return bool(system.type_name == "local")
