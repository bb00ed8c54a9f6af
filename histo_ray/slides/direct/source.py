"""Bytes of a slide's file, from any thread."""

import os
from pathlib import Path
from typing import Protocol


class ByteSource(Protocol):
    """Anything that gives byte ranges; threads may share one."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file.

        Raises:
            OSError: They cannot be read.
        """

    def close(self) -> None:
        """Release the file."""


class LocalFile:
    """A file on this machine, held open."""

    def __init__(self, path: str) -> None:
        self._handle: int | None = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def read_at(self, offset: int, size: int) -> bytes:
        """See `ByteSource`; has no position of its own, so threads do not disturb each other."""
        if self._handle is None:
            raise OSError("the file has been closed")
        return os.pread(self._handle, size, offset)

    def close(self) -> None:
        """Release the file; a second time does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


class StandIn:
    """A sparse local file in place of a remote one; it holds what it has been filled with."""

    def __init__(self, source: ByteSource, size: int, path: Path) -> None:
        self._source = source
        self.path = path
        self._filled: set[tuple[int, int]] = set()
        with path.open("wb") as file:
            file.truncate(size)

    def fill(self, offset: int, size: int) -> None:
        """Copy a range here, unless it is.

        Raises:
            OSError: It cannot be read, or not be written.
        """
        if (offset, size) in self._filled:
            return
        data = self._source.read_at(offset, size)
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)
        self._filled.add((offset, size))
