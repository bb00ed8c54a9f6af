"""Ray's session folders, some MB of logs and sockets each: those that this program had made go.

A folder gets a mark with the process that had Ray started. It is removed when that process is done,
or, should it have been killed, by a later one. Folders without a mark are somebody else's.
"""

import json
import os
import shutil
import socket
import time
from pathlib import Path

import psutil

MARK = "histo-ray.json"
KEPT_S = 24 * 3600.0
"""Folders of runs that failed stay so long, for their logs."""


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
