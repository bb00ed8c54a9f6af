"""Figures of past runs: one JSON file a run in `benchmarks/history/`.

A file holds what `python -m benchmarks` prints: version, commit and time of the code, words about
the machine, and the figures of each benchmark.
"""

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from histo_ray._version import __version__

FOLDER = Path(__file__).parent / "history"


@dataclass(frozen=True)
class PastRun:
    """The figures of one run."""

    name: str
    """The file's."""
    machine: str
    """In words; figures of different machines do not compare."""
    quick: bool
    figures: Mapping[str, float]
    """By `benchmark: what`."""
    goals: Mapping[str, str]
    """As `>= 3`; empty: none, so it is not said which way is better."""


def describe_code() -> dict[str, str]:
    """Version, commit and time (UTC) of what is measured; `+` after a commit that was changed."""
    return {
        "version": __version__,
        "commit": _ask_git("rev-parse", "--short=12", "HEAD")
        + ("+" if _ask_git("status", "--porcelain", "--untracked-files=no") else ""),
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def describe_processor() -> str:
    """Words that two machines share only if their figures compare."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = round(psutil.virtual_memory().total / 2**30)
    return f"{(models or [platform.machine()])[0]}, {psutil.cpu_count()} cores, {memory} GiB"


def keep_run(answer: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write one run to a file of its own, named by time and commit; return its path.

    Args:
        answer: What `python -m benchmarks` prints, with `code`.
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    code = answer["code"]
    stamp = code["time"].replace("-", "").replace(":", "")
    path = folder / f"{stamp}-{code['commit'].rstrip('+') or 'unknown'}.json"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return path


def read_runs(path: Path) -> list[PastRun]:
    """Read one file, or all of a folder by name.

    Raises:
        ValueError: There is none, or a file is not what `python -m benchmarks` prints.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no JSON file in this folder; make bench writes them")
    return [_read_run(file) for file in files]


def _read_run(path: Path) -> PastRun:
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        found = {
            f"{name}: {figure['what']}": (float(figure["value"]), str(figure["goal"]))
            for name, result in answer["benchmarks"].items()
            for figure in result["figures"]
        }
        machine = answer["machine"]
        words = str(machine.get("words") or f"{machine['cores']} cores")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: not the figures of a run ({type(error).__name__}: {error}); give a file that "
            "python -m benchmarks wrote"
        ) from None
    return PastRun(
        path.name,
        words,
        bool(answer.get("quick")),
        {key: value for key, (value, _) in found.items()},
        {key: goal for key, (_, goal) in found.items()},
    )


def _ask_git(*words: str) -> str:
    """What git says of this folder; empty where there is no git."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip()
