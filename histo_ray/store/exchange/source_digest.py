"""Looks and digests of the files that a slide is imported from."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from histo_ray.config import digest


class SourceLook(NamedTuple):
    """How files look without being read."""

    size_bytes: int
    mtime_ns: int
    """Newest change among them."""


def look_at_source(files: tuple[Path, ...]) -> SourceLook:
    """Size and newest change of some files, and of all in those that are folders.

    Raises:
        OSError: One is not there.
    """
    stats = [path.stat() for path in _list_files(files)]
    return SourceLook(
        sum(one.st_size for one in stats), max((one.st_mtime_ns for one in stats), default=0)
    )


def digest_source(files: tuple[Path, ...]) -> str:
    """SHA-256 of a file; of several, over their names and digests in canonical JSON.

    Raises:
        OSError: One cannot be read.
    """
    if len(files) == 1 and files[0].is_file():
        return _digest_file(files[0])
    said = [
        (str(path.relative_to(top.parent)), _digest_file(path))
        for top in files
        for path in _list_files((top,))
    ]
    return digest(said)


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _list_files(files: tuple[Path, ...]) -> list[Path]:
    found = []
    for top in files:
        found += sorted(p for p in top.rglob("*") if p.is_file()) if top.is_dir() else [top]
    return found
