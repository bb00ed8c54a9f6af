"""What the benchmarks share: their options, slides, processes and figures."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR
from histo_ray.types import Floats


@dataclass(frozen=True)
class Options:
    """How to measure."""

    folder: Path
    """Scratch; emptied by the caller."""
    quick: bool = False
    """Smaller slides and fewer rounds: does it run, not how fast."""
    slides: tuple[Path, ...] = ()
    """Slides to use in place of synthetic ones."""
    rounds: int = 3
    encoder: str | None = None
    """In place of a benchmark's own choice."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of `ExtractConfig`."""
    _numbers: Any = field(default_factory=count)

    def fresh(self, name: str) -> Path:
        """Return a path in the folder that is not used yet."""
        return self.folder / f"{name}-{next(self._numbers)}"


@dataclass(frozen=True)
class Figure:
    """One measured figure beside its goal."""

    what: str
    value: float
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Result:
    """What a benchmark gives back."""

    figures: Sequence[Figure]
    detail: dict[str, Any]


Benchmark = Callable[[Options], Result]


def synthetic_slide(path: Path, side: int, mpp: float = 0.25, share: float = 0.4) -> Path:
    """A square-ish synthetic slide, `side` px wide and slightly less high; made once."""
    if not path.exists():
        size = (side, side - side // 50)
        write_slide(path, SlideDesign(size=size, mpp=mpp, look=GLANDULAR, tissue_share=share))
    return path


def write_manifest(path: Path, slides: Sequence[Path]) -> Path:
    """A manifest of some files, named after them."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("slide_id", "path"))
        writer.writerows((slide.stem, str(slide.absolute())) for slide in slides)
    return path


def run_settings(
    options: Options, manifest: Path, encoder: Sequence[str], **more: Any
) -> dict[str, Any]:
    """Settings of one run into a store of its own."""
    return {
        "manifest": str(manifest),
        "store": str(options.fresh("store")),
        "encoder": list(encoder),
        **options.settings,
        **more,
    }


def start_runs(options: Options, runs: Sequence[dict[str, Any]]) -> subprocess.Popen[str]:
    """Start a process that makes these runs, in order, in one Ray session."""
    path = options.fresh("runs")
    path.write_text(json.dumps(list(runs)), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.one_run", str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )


def finish_runs(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What the process printed.

    Raises:
        SystemExit: It failed; its own words are above.
    """
    text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"benchmark: {process.args!r} ended with {process.returncode}")
    result: list[dict[str, Any]] = json.loads(text)
    return result


def make_runs(
    options: Options, runs: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], float]:
    """Make these runs in one process; what each counted, and the process's seconds."""
    began = time.monotonic()
    results = finish_runs(start_runs(options, runs))
    return results, time.monotonic() - began


def ask_module(module: str, *arguments: object) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS` with the memory of encoder processes; its JSON."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def cosines(vectors: Floats, others: Floats) -> Floats:
    """Cosine of each row with the same row of `others`, both (N, D); (N,)."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    found: Floats = (vectors * others).sum(1) / lengths
    return found
