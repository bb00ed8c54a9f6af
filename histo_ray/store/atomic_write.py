"""Make new files of a store appear whole or not at all.

Local: built under `.staging/`, flushed to disk, renamed into place. Remote: built in a local
temporary folder, then sent: see `upload`.
"""

import ctypes
import errno
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from histo_ray.errors import StoreError, UnreachableError
from histo_ray.store.layout import STAGING
from histo_ray.store.location import ROOT_FILE, Location
from histo_ray.store.upload import send

_ROOM = "make room"
_RIGHT = "give this user the right to write there, or mount it for writing"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EROFS: _RIGHT,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
}
"""What to do about an error of the system, by its number."""
_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""
_STAGED = re.compile(r"histo-ray-(?P<host>.+)-(?P<pid>\d+)-[^-]+")


@contextmanager
def stage(root: Location) -> Iterator[Path]:
    """A fresh local folder to build in, on the store's own file system where that is local.

    Raises:
        StoreError: In here or in the body: no room, no right to write, or a broken disk.
    """
    folder: Path | None = None
    try:
        if root.local:
            folder = Path(root.path) / STAGING
            folder.mkdir(parents=True, exist_ok=True)
        built = Path(tempfile.mkdtemp(prefix=stage_prefix(), dir=folder))
        try:
            yield built
        finally:
            shutil.rmtree(built, ignore_errors=True)
    except UnreachableError:
        raise
    except OSError as error:
        raise _not_written(root, folder, error) from error


def _not_written(root: Location, folder: Path | None, error: OSError) -> StoreError:
    """What to say where the store, or the folder for its parts, takes no file."""
    where = root.path if folder else f"{root.path}, built in {tempfile.gettempdir()}"
    reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
    remedy = _REMEDIES.get(error.errno or 0, "look after that disk")
    return StoreError(
        f"store {where}: cannot be written ({reason}); {remedy}, and the same "
        "command finishes what is missing"
    )


def publish(built: Path, target: Location, replace: bool = False) -> bool:
    """Make what was built under `stage` appear at `target`, whole or not at all.

    Args:
        built: File or folder, complete; it may be gone afterwards.
        target: Where it shall be.
        replace: Put it there even if something is there already.

    Returns:
        Whether it is there now; False if something else was there first.
    """
    if not target.local:
        return send(built, target, replace)
    final = Path(target.path)
    final.parent.mkdir(parents=True, exist_ok=True)
    _flush(built)
    placed = (
        _place_folder(built, final, replace)
        if built.is_dir()
        else _place_file(built, final, replace)
    )
    _flush_one(final.parent)
    return placed


def write_bytes(root: Location, relative: str, data: bytes, replace: bool = True) -> bool:
    """Write a small file of the store, whole or not at all; False if it was there already."""
    with stage(root) as folder:
        built = folder / "file"
        built.write_bytes(data)
        return publish(built, root.child(relative), replace)


def publish_files(root: Location, folder: str, files: Mapping[str, bytes]) -> bool:
    """Make a folder of small files appear, whole or not at all, and never over another.

    Hold a claim on the folder's name meanwhile: an object store cannot tell who was first.

    Args:
        root: The store.
        folder: Relative to it.
        files: Content by name; where the last one is, the folder counts as whole.

    Returns:
        Whether they are there now; False if another whole folder was there first.
    """
    *_, last = files
    if not root.local:
        if root.child(f"{folder}/{last}").kind():
            return False
        return all(
            write_bytes(root, f"{folder}/{name}", data, replace=name != last)
            for name, data in files.items()
        )
    final = Path(root.path) / folder
    with stage(root) as staged:
        built = staged / "folder"
        built.mkdir()
        for name, data in files.items():
            (built / name).write_bytes(data)
        _flush(built)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.is_dir() and not (final / last).exists():  # what a killed deletion left
            final.rename(staged / "incomplete")
        try:
            built.rename(final)
        except OSError:
            if final.exists():
                return False
            raise
        _flush_one(final.parent)
        return True


def _place_file(built: Path, final: Path, replace: bool) -> bool:
    if not replace:
        try:
            os.link(built, final)  # unlike a rename it fails if another run was faster
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if final.exists():
                return False
        else:
            return True
    built.replace(final)
    return True


def _place_folder(built: Path, final: Path, replace: bool) -> bool:
    aside = built.parent / "replaced"
    if replace:
        if _exchange(built, final):
            return True
        with suppress(FileNotFoundError):  # for a moment, there is neither
            final.rename(aside)
    elif final.is_dir() and not (final / ROOT_FILE).exists():  # what a killed deletion left
        final.rename(aside)
        if (aside / ROOT_FILE).exists():  # another run put a whole one there at this moment
            with suppress(OSError):
                aside.rename(final)
    try:
        built.rename(final)
    except OSError:
        if final.exists():
            return False
        raise
    return True


def _exchange(built: Path, final: Path) -> bool:
    """Have two folders change places in one step; False if this system or file system cannot."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):  # not Linux, or an old libc
        return False
    paths = os.fsencode(built), os.fsencode(final)
    return not rename(_HERE, paths[0], _HERE, paths[1], _EXCHANGE)


def discard(
    root: Location, location: Location, keep: Callable[[Location], bool] | None = None
) -> bool:
    """Remove a file or folder of the store so that no half of it is ever found there.

    Locally it is renamed into staging, in one step, before its files are deleted. On an object
    store a folder's root file goes first, so that what is left does not count as a partition.

    Args:
        root: The store.
        location: What to remove; it need not be there.
        keep: Asked of what is about to be deleted, where it lies by then; True puts it back.

    Returns:
        Whether it is gone.
    """
    if not root.local:
        if not location.kind():
            return True
        if keep is not None and keep(location):
            return False
        location.delete()
        return True
    final = Path(location.path)
    with stage(root) as folder:
        aside = folder / "removed"
        try:
            final.rename(aside)
        except FileNotFoundError:
            return True
        if keep is None or not keep(Location(location.system, str(aside))):
            return True
        if aside.is_dir():
            _place_folder(aside, final, replace=False)
        else:
            _place_file(aside, final, replace=False)
        return False


def _flush(built: Path) -> None:
    for path in [built, *built.rglob("*")]:
        _flush_one(path)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_staging(root: Location) -> list[str]:
    """Remove what processes of this machine that are dead now left half-built; their names.

    Other machines' leftovers are for `store gc`: from here nobody knows if they are at work.
    """
    if not root.local:
        return []
    swept = []
    for name in root.child(STAGING).names():
        if is_dead(name):
            shutil.rmtree(Path(root.path) / STAGING / name, ignore_errors=True)
            swept.append(name)
    return swept


def is_dead(staged: str) -> bool:
    """Whether a name under staging is of a process of this machine that is no more."""
    found = _STAGED.fullmatch(staged)
    return bool(found and found["host"] == _here() and not _is_alive(int(found["pid"])))


def stage_prefix() -> str:
    """How names under staging begin that this process makes."""
    return f"histo-ray-{_here()}-{os.getpid()}-"


def _here() -> str:
    """This machine and, as containers may share its name, what this process can see of it."""
    try:
        return f"{socket.gethostname()}-{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116
    except OSError:  # not Linux
        return socket.gethostname()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    return True
