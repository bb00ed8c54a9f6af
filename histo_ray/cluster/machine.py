"""Whether this machine can start a Ray of its own: told before Ray would wait without a word."""

import os
import resource
import shutil
import tempfile
from pathlib import Path

from histo_ray.errors import ConfigError

LEAST_FILES = 256
"""Open files that each of Ray's processes is allowed at least; with fewer they fail in silence."""
FILES_PER_CPU = 16
MOST_FILES = 65_536
"""Asked for where the limit may be raised so far."""
LEAST_BYTES = 100 << 20
"""Room for Ray's sockets and logs; and for objects that are not in shared memory."""


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
    """As `check_machine`, long before Ray is started: at work that needs minutes until then.

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
