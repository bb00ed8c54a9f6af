"""Let one process at a time do work that must not be done twice at once.

On a local file system a claim is the system's own lock on a file, so it ends with its process,
however that ends. An object store has no locks: there a claim is an object that its holder writes
anew now and then, and that counts as dead once nobody has for `DEAD_S`. Clocks are not compared.
"""

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from histo_ray.errors import BusyError, StoreError
from histo_ray.store.atomic_write import write_bytes
from histo_ray.store.layout import CACHE, check_file_name
from histo_ray.store.location import Location
from histo_ray.types import JsonObject

CLAIMS = f"{CACHE}/claims"
REFRESH_S = 15.0
"""Between signs of life of a claim in an object store."""
DEAD_S = 60.0
"""Without a sign of life for so long, its holder is gone."""
TRIES = 1000
"""To make the folder of claims, which others remove when it is empty."""
LOOK_S = 1.0
"""Between looks at a claim that somebody else holds."""
SETTLE_S = 1.0
"""Seconds after which the later one of two claims that were written at the same moment stands."""

Tell = Callable[[str], None]
"""Called once, with who holds the claim, before it is waited for."""


@contextmanager
def hold_claim(root: Location, name: str, tell: Tell, *, wait: bool) -> Iterator[None]:
    """Hold the claim `name` of a store while the body runs.

    Where the file system knows no locks, or the store cannot be written, there is no claim and the
    body runs all the same: what it writes appears whole, and writing tells what is wrong.

    Args:
        root: The store.
        name: What is claimed; safe as a file name.
        tell: Called with the holder, if somebody else has it.
        wait: Wait until it is free; else refuse.

    Raises:
        BusyError: Somebody else has it, and `wait` is false.
    """
    relative = f"{CLAIMS}/{check_file_name('claim', name)}"
    held = _lock(root, relative, tell, wait) if root.local else _sign(root, relative, tell, wait)
    with held:
        yield


@contextmanager
def _lock(root: Location, relative: str, tell: Tell, wait: bool) -> Iterator[None]:
    path = Path(root.path) / relative
    file = _open_locked(path, tell, wait)
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                path.unlink()  # first, then others may have the lock
            os.close(file)
            with suppress(OSError):  # leave no empty folders
                path.parent.rmdir()
                path.parent.parent.rmdir()


def _open_locked(path: Path, tell: Tell, wait: bool) -> int | None:
    """Open the file of a claim and lock it; None where nothing can be written or locked."""
    told, tries = False, 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except (FileNotFoundError, FileExistsError):  # its holder has just removed the folder
            tries += 1
            if tries > TRIES:
                return None
            continue
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, file):
                with suppress(OSError):
                    os.pwrite(file, _name_process().encode(), 0)
                return file
            os.close(file)  # its holder has just removed it
        except BlockingIOError:
            holder = os.pread(file, 300, 0).decode("utf-8", "replace") or "another process"
            os.close(file)
            if not wait:
                raise BusyError(holder) from None
            if not told:
                tell(holder)
                told = True
            time.sleep(LOOK_S)
        except OSError:
            os.close(file)
            return None


def _name_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _is_at(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except OSError:
        return False


@contextmanager
def _sign(root: Location, relative: str, tell: Tell, wait: bool) -> Iterator[None]:
    location, token, done = root.child(relative), secrets.token_hex(8), threading.Event()

    def write() -> None:
        said = {"token": token, "holder": _name_process(), "at": time.time()}
        write_bytes(root, relative, json.dumps(said).encode())

    while True:
        _await_end(location, tell, wait)
        write()
        time.sleep(SETTLE_S)
        if _read(location).get("token") == token:
            break

    def refresh() -> None:
        while not done.wait(REFRESH_S):
            with suppress(OSError, StoreError):  # the store stumbles; the next sign may come
                write()

    thread = threading.Thread(target=refresh, daemon=True, name="claim")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(OSError):
            if _read(location).get("token") == token:
                location.delete()


def _await_end(location: Location, tell: Tell, wait: bool) -> None:
    """Return once nobody holds the claim: it is gone, or shows no sign of life for `DEAD_S`."""
    last, since, told = _read(location), time.monotonic(), False
    signs = 0
    while last and time.monotonic() - since < DEAD_S:
        if not told and wait:
            tell(str(last.get("holder", "another process")))
            told = True
        if signs and not wait:
            raise BusyError(str(last.get("holder", "another process")))
        time.sleep(LOOK_S)
        now = _read(location)
        if now != last:
            last, since, signs = now, time.monotonic(), signs + 1


def _read(location: Location) -> JsonObject:
    """What a claim says; nothing where there is none."""
    try:
        said = json.loads(location.read_bytes()) if location.kind() else {}
    except (FileNotFoundError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
