"""Sends files and folders to an object store so that they appear whole or not at all.

pyarrow closes, and so completes, an output stream even when an exception or the garbage collector
ends it; handing over all bytes in one call leaves no moment at which half of them could be
completed. A small object is one PUT, a large one an upload in parts that is completed at the end.
"""

import hashlib
import random
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage.check import explain_here
from histo_ray.storage.files import open_file
from histo_ray.storage.trouble import Trouble
from histo_ray.store.location import ROOT_FILE, THREADS, Location

PLAIN = "application/octet-stream"
UPLOADS = 3
"""How often an object is sent. Single requests are repeated below; but an upload in parts whose
completion was carried out and answered by an error can only be sent anew."""
ROUNDS = 8
"""How often a folder is sent while another run sends other bytes to the same place."""


def send(built: Path, target: Location, replace: bool) -> bool:
    """Send a file, or a folder whose root file makes it count.

    Returns:
        Whether it is there now; False if something else was there first.
    """
    if not replace and _is_there(target):
        return False
    if built.is_file():
        _upload(built, target)
        return True
    return _send_folder(built, target, replace)


def _is_there(target: Location) -> bool:
    kind = target.kind()
    return kind == "file" or (kind == "folder" and bool(target.child(ROOT_FILE).kind()))


def _send_folder(built: Path, target: Location, replace: bool) -> bool:
    """Send a folder, its root last; False if another run's root was there first and stays.

    Two runs may send the same partition at once: under the same names, and the same bytes unless
    their machines calculate differently. So that files of both are never left mixed, each file says
    what its bytes are, and each run looks after its root is there whether they are its own. If not,
    the run whose root came last sends all again: the other was done with its files before.
    """
    if replace and target.kind():
        target.delete()
    names = [file.relative_to(built).as_posix() for file in built.rglob("*") if file.is_file()]
    others = {name: _mark(built / name) for name in sorted(names) if name != ROOT_FILE}
    root, mine = target.child(ROOT_FILE), (built / ROOT_FILE).read_bytes()
    _upload_all(built, target, others)
    if not replace and root.kind() and _read_marks(target, others) == others:
        return False  # another run was faster, and its files are what we would have sent
    for round_ in range(ROUNDS):
        _drop_strangers(target, names)
        _upload(built / ROOT_FILE, root)
        if _read_marks(target, others) == others:
            return True
        time.sleep(random.uniform(0, 2**round_ / 4))
        try:
            if root.read_bytes() != mine:
                return False
        except FileNotFoundError:  # another run took it away, as one that stored the other form
            return False
        _upload_all(built, target, others)
    raise StoreError(
        f"{target.path}: another run keeps writing other bytes there; wait until it has "
        "ended, then run the command again"
    )


def _mark(file: Path) -> str:
    """A media type that says what the bytes are: all that pyarrow can write beside an object."""
    with file.open("rb") as stream:
        return f"{PLAIN}; sha256={hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _read_marks(target: Location, names: Iterable[str]) -> dict[str, str]:
    def read(name: str) -> str:
        location = target.child(name)
        try:
            with location.reached(), open_file(location.system, location.path) as file:
                said = file.metadata()
        except FileNotFoundError:
            return ""
        found = said.get("Content-Type", said.get("contentType", b""))
        return found.decode() if isinstance(found, bytes) else str(found)

    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(names, pool.map(read, names), strict=True))


def _drop_strangers(target: Location, names: Iterable[str]) -> None:
    """Remove objects that a crashed run with other settings has sent."""
    known = {f"{target.path}/{name}" for name in names}
    for info in target.walk():
        if info.path not in known:
            Location(target.system, info.path).delete()


def _upload_all(built: Path, target: Location, marks: Mapping[str, str]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        calls = [
            pool.submit(_upload, built / name, target.child(name), mark)
            for name, mark in marks.items()
        ]
        for call in calls:
            call.result()


def _upload(file: Path, target: Location, mark: str = PLAIN) -> None:
    """Send one object.

    Raises:
        UnreachableError: It did not arrive.
    """
    size = file.stat().st_size
    for left in reversed(range(UPLOADS)):
        try:
            _write(file, size, target, mark)
            found = target.system.get_file_info([target.path])[0].size
            if found == size:
                return
            trouble = Trouble(f"{found} bytes arrived", "look who else writes there", lasting=False)
        except OSError as error:
            trouble = explain_here(error)
        if trouble.lasting or not left:
            raise UnreachableError(
                f"{target.path}: upload failed ({trouble.found}); "
                f"{trouble.remedy}, then run the command again"
            )


def _write(file: Path, size: int, target: Location, mark: str) -> None:
    with pa.memory_map(str(file)) as source:
        data = source.read_buffer(size)  # mapped, not read: memory stays bounded
        stream = target.system.open_output_stream(target.path, metadata={"Content-Type": mark})
        stream.write(data)
        stream.close()
