"""Makes new files of a store appear whole or not at all.

Local: built under `.staging/`, flushed to disk, renamed into place. Remote: built in a local
temporary folder, then sent by one write call each. pyarrow closes, and so completes, an output
stream even when an exception or the garbage collector ends it; handing over all bytes in one call
leaves no moment at which half of them could be completed.
"""

import errno
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from histo_ray.errors import StoreError
from histo_ray.store.layout import STAGING
from histo_ray.store.place import ROOT_FILE, Place

_ROOM = ("room for the file", "make room")
_RIGHT = ("a place that can be written", "give this user the right, or mount it for writing")
_WANTED = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EROFS: _RIGHT,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    0: ("a disk that takes files", "see to the disk"),
}
"""By the system's error: what is wanted, and what to do."""
_STAGED = re.compile(r"histo-ray-(?P<host>.+)-(?P<pid>\d+)-[^-]+")


@contextmanager
def stage(root: Place) -> Iterator[Path]:
    """A fresh local folder to build in, on the store's own file system where that is local.

    Raises:
        StoreError: In here or in the body: no room, no right to write, or a broken disk.
    """
    folder: Path | None = None
    try:
        if root.local:
            folder = Path(root.path) / STAGING
            folder.mkdir(parents=True, exist_ok=True)
        built = Path(tempfile.mkdtemp(prefix=_prefix(), dir=folder))
        try:
            yield built
        finally:
            shutil.rmtree(built, ignore_errors=True)
    except OSError as error:
        raise _not_written(root, folder, error) from error


def _not_written(root: Place, folder: Path | None, error: OSError) -> StoreError:
    """What to say where the store, or the folder for its parts, takes no file."""
    where = root.path if folder else f"{root.path}, built in {tempfile.gettempdir()}"
    reason = error.strerror or " ".join(str(error).split())
    wanted, remedy = _WANTED.get(error.errno or 0, _WANTED[0])
    return StoreError(
        f"store {where}: cannot be written ({reason}), wanted {wanted}; {remedy}, and the same "
        "command finishes what is missing"
    )


def publish(built: Path, target: Place, replace: bool = False) -> bool:
    """Make what was built under `stage` appear at `target`, whole or not at all.

    Args:
        built: File or folder, complete; it may be gone afterwards.
        target: Where it shall be.
        replace: Put it there even if something is there already.

    Returns:
        Whether it is there now; False if something else was there first.
    """
    if not target.local:
        if not replace and _is_there(target):
            return False
        _send(built, target)
        return True
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


def write_bytes(root: Place, relative: str, data: bytes, replace: bool = True) -> bool:
    """Write a small file of the store, whole or not at all; False if it was there already."""
    with stage(root) as folder:
        built = folder / "file"
        built.write_bytes(data)
        return publish(built, root.child(relative), replace)


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
    if replace and final.exists():  # a folder cannot be replaced in one step
        final.rename(built.parent / "replaced")
    try:
        built.rename(final)
    except OSError:
        if final.exists():
            return False
        raise
    return True


def _is_there(target: Place) -> bool:
    kind = target.kind()
    return kind == "file" or (kind == "folder" and bool(target.child(ROOT_FILE).kind()))


def _send(built: Path, target: Place) -> None:
    """Upload a file, or a folder with its root file last."""
    if built.is_file():
        _upload(built, target)
        return
    if target.kind():  # being replaced, or left half-sent: nothing of it may stay
        target.delete()
    files = [file for file in built.rglob("*") if file.is_file() and file != built / ROOT_FILE]
    for file in sorted(files):
        _upload(file, target.child(file.relative_to(built).as_posix()))
    _upload(built / ROOT_FILE, target.child(ROOT_FILE))


def _upload(file: Path, target: Place) -> None:
    size = file.stat().st_size
    try:
        with pa.memory_map(str(file)) as source:
            data = source.read_buffer(size)  # mapped, not read: memory stays bounded
            stream = target.system.open_output_stream(target.path)
            stream.write(data)
            stream.close()
    except OSError as error:
        raise StoreError(
            f"{target.path}: upload failed ({str(error).partition(chr(10))[0]}), wanted all "
            f"{size} bytes there; run the command again"
        ) from error
    found = target.system.get_file_info([target.path])[0]
    if found.size != size:
        raise StoreError(
            f"{target.path}: {found.size} bytes arrived, wanted {size}; run the command again"
        )


def _flush(built: Path) -> None:
    for path in [built, *built.rglob("*")]:
        _flush_one(path)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_staging(root: Place) -> list[str]:
    """Remove what processes of this machine that are dead now left half-built; their names.

    Other machines' leftovers are for `store gc`: from here nobody knows if they are at work.
    """
    if not root.local:
        return []
    swept = []
    for name in root.child(STAGING).names():
        found = _STAGED.fullmatch(name)
        if found and found["host"] == socket.gethostname() and not _is_alive(int(found["pid"])):
            shutil.rmtree(Path(root.path) / STAGING / name, ignore_errors=True)
            swept.append(name)
    return swept


def _prefix() -> str:
    return f"histo-ray-{socket.gethostname()}-{os.getpid()}-"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    return True
