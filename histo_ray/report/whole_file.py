"""Writes a page whole or not at all."""

import glob
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

LEFT_S = 3600.0
"""Age from which a half-written page counts as left by a killed process."""


def write_whole(target: Path, text: str) -> None:
    """Write beside `target`, then move there, so that `target` is never half a page.

    Raises:
        OSError: It cannot be written there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}.histo-ray-"
    for left in target.parent.glob(f"{glob.escape(prefix)}*"):  # by a process that was killed
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > LEFT_S:
                left.unlink()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix)
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        beside.chmod(0o644)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
