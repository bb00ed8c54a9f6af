"""Exit code 0 if this container's Ray is well, or if it runs none.

A container that serves as a node has a raylet, whose agent says whether it is well. One that runs a
single command, as on a workstation, ends with its command: there is nothing to ask.
"""

import sys
import urllib.error
import urllib.request
from pathlib import Path

AGENT = "http://127.0.0.1:52365/api/local_raylet_healthz"
"""The agent's usual port; this path needs no token."""


def is_node(processes: Path = Path("/proc")) -> bool:
    """Whether a raylet runs here."""
    for entry in processes.glob("[0-9]*/comm"):
        try:
            if entry.read_text(encoding="utf-8").strip() == "raylet":
                return True
        except OSError:  # it ended meanwhile
            continue
    return False


def is_well(url: str = AGENT) -> bool:
    """Whether the raylet's agent answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a constant http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(0 if not is_node() or is_well() else 1)
