"""Slides from object stores, whole on this machine's disk: bounded, and shared by its processes.

One folder an entry. Who uses an entry holds a shared lock (flock) on its folder, who removes one an
exclusive lock; such locks end with their process, whatever ends it, and leave no files behind. An
entry is built in a folder of another name and renamed when it is whole.
"""

import errno
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

_log = logging.getLogger(__name__)

DEFAULT_GB = 50.0
"""The bound where none is given, or half of what is free on the disk if that is less."""
PART, GONE = ".part", ".gone"
"""Ends of the names of entries being built and being removed."""

Fetch = Callable[[str, Path], None]
"""Fills one file, by its name in the entry, which is there and has its final size."""


class _Entry(NamedTuple):
    used: float
    path: Path
    size: int


class SlideCache:
    """A folder of slides. Processes may share one; so may threads."""

    def __init__(self, folder: Path | None = None, limit_gb: float | None = None) -> None:
        """Use a folder; it is made when it is first needed.

        Args:
            folder: On a local disk; None: one in the temporary folder, this user's own.
            limit_gb: Most GB of slides that are not open; None: see `DEFAULT_GB`.
        """
        self._folder = folder or Path(tempfile.gettempdir()) / f"histo-ray-slides-{os.getuid()}"
        self._limit_gb = limit_gb

    @contextmanager
    def hold(self, key: str, sizes: Mapping[str, int], fetch: Fetch) -> Iterator[Path]:
        """An entry's folder, safe from removal until this ends; fetched if it is not here.

        Args:
            key: Safe as a file name; the same for the same bytes only.
            sizes: Bytes of each file, by its path in the entry.
            fetch: Called for each file by one process at a time.

        Raises:
            OSError: `fetch` failed, or there is no room.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, f"{self._folder} is another user's; name another")
        entry = self._folder / key
        while (handle := _lock(entry, fcntl.LOCK_SH)) is None:
            if (handle := self._build(entry, sizes, fetch)) is not None:
                break
        try:
            os.utime(handle)
            yield entry
        finally:
            os.utime(handle)
            os.close(handle)

    def _build(self, entry: Path, sizes: Mapping[str, int], fetch: Fetch) -> int | None:
        """Fetch an entry and hold it; None if another process did, or may have."""
        part = entry.with_name(entry.name + PART)
        part.mkdir(mode=0o700, exist_ok=True)
        lock = _lock(part, fcntl.LOCK_EX)  # waits while another process fetches it
        if lock is None:
            return None
        data = part / "data"
        try:
            if entry.exists():
                return None
            shutil.rmtree(data, ignore_errors=True)  # of a process that was killed
            self._make_room(data, sizes)
            for name in sizes:
                fetch(name, data / name)
                _flush(data / name)
            handle = _lock(data, fcntl.LOCK_SH)  # before it becomes visible
            data.rename(entry)
            return handle
        finally:
            shutil.rmtree(data, ignore_errors=True)
            with suppress(OSError):
                part.rmdir()
            os.close(lock)

    def _make_room(self, data: Path, sizes: Mapping[str, int]) -> None:
        """Remove what was not used for longest until all files fit, and take their room."""
        need = sum(sizes.values())
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            limit = self._limit()
            if need > limit:
                raise OSError(
                    errno.ENOSPC,
                    f"{need / 1e9:.3g} GB, more than the {limit / 1e9:.3g} GB of the cache "
                    f"{self._folder}; raise --cache-gb",
                )
            entries = sorted(self._entries())
            total = sum(entry.size for entry in entries)
            for entry in entries:
                if total + need > limit and _remove(entry.path):
                    total -= entry.size
            if total + need > limit:
                _log.warning(
                    "cache %s: %.3g GB of open slides and %.3g GB to come, over its bound of "
                    "%.3g GB; raise --cache-gb or lower --readers",
                    *(self._folder, total / 1e9, need / 1e9, limit / 1e9),
                )
            free = shutil.disk_usage(self._folder).free
            if need > free:
                raise OSError(
                    errno.ENOSPC,
                    f"{need / 1e9:.3g} GB, and {free / 1e9:.3g} GB free at {self._folder}; name "
                    "another disk with --cache-dir",
                )
            for name, size in sizes.items():
                file = data / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("wb") as stream:
                    stream.truncate(size)  # counted by other processes from now on
        finally:
            os.close(folder)

    def _limit(self) -> int:
        if self._limit_gb is not None:
            return int(self._limit_gb * 1e9)
        held = sum(entry.size for entry in self._entries())
        return min(int(DEFAULT_GB * 1e9), (shutil.disk_usage(self._folder).free + held) // 2)

    def _entries(self) -> Iterator[_Entry]:
        """What is in the folder; leftovers of removals go on the way."""
        for path in self._folder.iterdir():
            if path.name.endswith(GONE):
                shutil.rmtree(path, ignore_errors=True)
                continue
            with suppress(FileNotFoundError):  # finished or given up just now
                files = [file for file in path.rglob("*") if file.is_file()]
                size = sum(file.stat().st_size for file in files)
                yield _Entry(path.stat().st_mtime, path, size)


def _lock(folder: Path, how: int) -> int | None:
    """A handle that holds the lock; None if the folder is gone, or busy and `how` does not wait."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, how)
        here, there = os.fstat(handle), folder.stat()
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _remove(entry: Path) -> bool:
    """Remove an entry that is not in use; whether it is gone."""
    handle = _lock(entry, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if handle is None:
        return False
    gone = entry.with_name(f"{entry.name}-{os.getpid()}-{time.monotonic_ns()}{GONE}")
    try:
        entry.rename(gone)  # first: a process that is killed now leaves nothing that looks whole
        shutil.rmtree(gone, ignore_errors=True)
    finally:
        os.close(handle)
    return True


def _flush(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
