"""A file system of a few hundred kB, to fill or to make read-only. As root, else a skip."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str, patience_s: float = 30) -> None:
        """Change it while it is in use; a file being written is waited for."""
        deadline = time.monotonic() + patience_s
        command = ["mount", "-o", f"remount,{options}", str(self.path)]
        while subprocess.run(command, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, f"not remounted with {options}"
            time.sleep(0.001)


@contextlib.contextmanager
def small_disk(path: Path, kib: int) -> Iterator[SmallDisk]:
    """Mount one at `path`, which is made."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount on this system: a disk cannot be filled")
    if done.returncode:
        pytest.skip(f"this user may not mount a small disk: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
