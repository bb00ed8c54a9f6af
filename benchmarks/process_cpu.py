"""CPU seconds of a run's processes, by what they are: driver, Ray's own, readers, encoders."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psutil

from histo_ray.cluster.ray_pipeline import RayPipeline

KINDS = {
    "gcs_server": "gcs",
    "raylet": "raylet",
    "ray::Reader": "readers",
    "ray::EncoderWorker": "encoder",
    "ray::IDLE": "idle workers",
}
"""First letters of a process's title, or a part of its command's first word, and what it is."""


def describe_process(words: list[str]) -> str:
    """Kind of a process below the driver, from its command line."""
    if not words:
        return "other"
    first = words[0].rsplit("/", 1)[-1]
    return next((kind for start, kind in KINDS.items() if first.startswith(start)), "other")


def read_cpu() -> Counter[str]:
    """CPU seconds, user and system, of this process and all below it so far, by kind."""
    spent: Counter[str] = Counter()
    driver = psutil.Process()
    for process in (driver, *driver.children(recursive=True)):
        try:
            times = process.cpu_times()
            words = process.cmdline()
        except psutil.Error:
            continue
        kind = "driver" if process == driver else describe_process(words)
        spent[kind] += times.user + times.system
    return spent


@contextmanager
def measure_work() -> Iterator[dict[str, float]]:
    """Measure what processes spend while runs inside this block are at work, by kind.

    Start-up is left out: it is from the first subject given out to the last partition.
    """
    found: dict[str, float] = {}
    run = RayPipeline.run

    def run_measured(self: RayPipeline, *args: Any) -> None:
        before = read_cpu()
        run(self, *args)
        after = read_cpu()
        after.subtract(before)
        found.update({kind: round(seconds, 2) for kind, seconds in after.items()})

    with patch.object(RayPipeline, "run", run_measured):
        yield found
