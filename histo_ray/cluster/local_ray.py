"""A Ray of this machine alone: whether it can start, where it listens, and its session's folder.

Ray's session folders are some MB of logs and sockets each. One that this program had made gets a
mark with the process that had Ray started; it is removed when that process is done, or, should it
have been killed, by a later one. Folders without a mark are another program's.
"""

import json
import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from ray._private import ray_constants
from ray._private import worker as _ray_worker

from histo_ray.errors import ConfigError

LEAST_FILES = 256
"""Open files that each of Ray's processes is allowed at least; with fewer they fail in silence."""
FILES_PER_CPU = 16
MOST_FILES = 65_536
"""Asked for where the limit may be raised so far."""
LEAST_BYTES = 100 << 20
"""Room for Ray's sockets and logs; and for objects that are not in shared memory."""
MARK = "histo-ray.json"
KEPT_S = 24 * 3600.0
"""Folders of runs that failed stay so long, for their logs."""


def check_machine(cpus: int | None = None) -> None:
    """See that there are open files and disk enough for a local Ray; raise the soft limit.

    Args:
        cpus: CPUs of the local cluster; None: all.

    Raises:
        ConfigError: There are not.
    """
    count = cpus or os.cpu_count() or 1
    least = LEAST_FILES + FILES_PER_CPU * count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MOST_FILES and soft < (MOST_FILES if hard == resource.RLIM_INFINITY else hard):
        wished = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wished, hard))
        soft = wished
    if soft < least:
        raise ConfigError(
            f"Ray cannot start: a process may open {soft} files here (ulimit -n), and Ray with "
            f"{count} CPUs needs at least {least}; raise the limit, as with ulimit -n 4096"
        )
    folder = scratch_folder()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < LEAST_BYTES:
        raise ConfigError(
            f"Ray cannot start: {free / 1e6:.0f} MB are free in {there}, where Ray keeps sockets, "
            f"logs and what memory has no room for, and at least {LEAST_BYTES / 1e6:.0f} MB are "
            "needed; make room there, or set RAY_TMPDIR to a folder on another disk"
        )


def check_before_work(address: str) -> None:
    """Run `check_machine` long before Ray is started: at work that needs minutes until then.

    Args:
        address: Ray to run on, as for `ray_session`; only a Ray of this machine's own is checked.

    Raises:
        ConfigError: As `check_machine`.
    """
    if address == "local" and not os.environ.get("RAY_ADDRESS"):
        check_machine()


def scratch_folder() -> Path:
    """Where Ray keeps the folders of its sessions."""
    return Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray"


@contextmanager
def on_loopback() -> Iterator[None]:
    """Have Ray's processes listen on loopback only.

    Ray replaces an address of loopback that it is given by the machine's own, but for systems on
    which it knows no clusters of several nodes. A local Ray is none.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def mark_session() -> Path | None:
    """Say that this process had the session's folder made; None where there is none."""
    node: Any = _ray_worker._global_node
    try:
        folder = Path(node.get_session_dir_path())
        mark_folder(folder)
    except (AttributeError, OSError):  # no node of this process's own
        return None
    return folder


def mark_folder(folder: Path) -> None:
    """Say that this process had `folder` made."""
    said = {"host": _here(), "pid": os.getpid(), "started": psutil.Process().create_time()}
    (folder / MARK).write_text(json.dumps(said), encoding="utf-8")


def remove_folder(folder: Path) -> None:
    """Remove a session's folder; what cannot be removed stays."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_own(scratch: Path) -> None:
    """Remove folders of sessions that did not start: Ray puts this process's number into names.

    Args:
        scratch: Folder of all sessions.
    """
    started = psutil.Process().create_time()
    for folder in scratch.glob(f"session_*_{os.getpid()}"):
        try:
            own = folder.stat().st_mtime >= started
        except OSError:
            continue
        if own:
            remove_folder(folder)


def sweep_folders(scratch: Path) -> list[str]:
    """Remove folders of sessions whose process was killed, or failed `KEPT_S` ago; their names.

    Args:
        scratch: Folder of all sessions.
    """
    swept = []
    for mark in scratch.glob(f"session_*/{MARK}"):
        try:
            said = json.loads(mark.read_text(encoding="utf-8"))
            mine = said["host"] == _here() and not _lives(int(said["pid"]), said["started"])
            old = time.time() - mark.stat().st_mtime > KEPT_S
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if mine and (old or not said.get("failed")):
            remove_folder(mark.parent)
            swept.append(mark.parent.name)
    return swept


def has_failed(folder: Path) -> bool:
    """Whether the logs of a session are to be kept."""
    try:
        return bool(json.loads((folder / MARK).read_text(encoding="utf-8")).get("failed"))
    except (OSError, ValueError):
        return False


def keep_logs(folder: Path) -> None:
    """Say that the run failed, so that its logs stay for a day."""
    try:
        said = json.loads((folder / MARK).read_text(encoding="utf-8"))
        (folder / MARK).write_text(json.dumps(said | {"failed": True}), encoding="utf-8")
    except (OSError, ValueError):
        return


def _lives(pid: int, started: float) -> bool:
    try:
        return bool(abs(psutil.Process(pid).create_time() - started) < 1.0)
    except psutil.Error:
        return False


def _here() -> str:
    """This machine and, as containers may share its name, what this process can see of it."""
    try:
        return f"{socket.gethostname()}-{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116
    except OSError:  # not Linux
        return socket.gethostname()
