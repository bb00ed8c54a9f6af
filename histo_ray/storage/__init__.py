"""Turns a path or URI into a file system and a path on it."""

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
        hurried: Give up within seconds where an object store does not respond, as before work
            starts; else it is asked again for about a minute.

    Returns:
        File system, and a path without scheme and without a trailing slash.

    Raises:
        ConfigError: Another scheme, or no bucket.
    """
    from pyarrow import fs

    scheme, mark, rest = uri.partition("://")
    if "\0" in uri:
        raise ConfigError(f"storage {uri!r}: no path has a NUL character in it; correct the path")
    if not uri:
        raise ConfigError(f"the path is empty; name a place: {ACCEPTED}")
    if not mark:
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    if scheme == "file":
        return fs.LocalFileSystem(), str(Path(unquote(rest)).absolute())
    if scheme not in ("s3", "gs"):
        raise ConfigError(
            f"{uri!r}: {scheme}:// is not supported; give {ACCEPTED}, or copy or mount the data"
        )
    bucket = rest.partition("/")[0]
    if not bucket:
        raise ConfigError(f"{uri!r} names no bucket; give {ACCEPTED}")
    from histo_ray.storage.clouds import open_gs, open_s3

    system = open_gs(hurried) if scheme == "gs" else open_s3(bucket, hurried)
    return system, rest.rstrip("/")


def is_local(system: "FileSystem") -> bool:
    """Whether `system` is this machine's own file system."""
    return bool(system.type_name == "local")
