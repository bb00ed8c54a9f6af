"""Peak memory of an extraction of a small slide against a large one.

Sampled: PSS (a page shared by n processes counts 1/n in each) of the driver and all processes
below it, Ray's own too. Two sums: all of them, and without Ray's servers.
"""

import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench import (
    Figure,
    Options,
    Result,
    finish_runs,
    run_settings,
    start_runs,
    synthetic_slide,
    write_manifest,
)

ENCODER = "random:resnet10t?seed=0&px=32"
EVERY_S = 0.25
MIB = 2**20


def pss_bytes(pid: int) -> int:
    """Proportional set size of a process; 0 once it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def sample_peaks(process: subprocess.Popen[str]) -> dict[str, float]:
    """Watch a process and all below it until it ends; the largest sums, MiB."""
    peaks = {"all": 0.0, "driver and actors": 0.0, "readers": 0.0, "encoders": 0.0}
    while process.poll() is None:
        sums = dict.fromkeys(peaks, 0.0)
        for pid, title in _family(process.pid):
            size = pss_bytes(pid) / MIB
            sums["all"] += size
            if pid == process.pid or title.startswith("ray::"):
                sums["driver and actors"] += size
            if title.startswith("ray::Reader"):
                sums["readers"] += size
            if title.startswith("ray::EncoderWorker"):
                sums["encoders"] += size
        peaks = {name: max(peaks[name], sums[name]) for name in peaks}
        time.sleep(EVERY_S)
    return peaks


def _family(pid: int) -> list[tuple[int, str]]:
    members = []
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            try:
                members.append((process.pid, " ".join(process.cmdline())))
            except psutil.Error:
                continue  # it has just ended
    except psutil.Error:
        return members
    return members


def measure_memory(options: Options) -> Result:
    """Small, large, small, large ...: one process tree each."""
    encoder = options.encoder or ENCODER
    sides = (3_000, 6_000) if options.quick else (10_000, 40_000)
    slides = options.slides or tuple(
        synthetic_slide(options.folder / f"M{side}.svs", side) for side in sides
    )
    manifests = [write_manifest(options.fresh("manifest.csv"), [slide]) for slide in slides[:2]]
    rows: list[list[dict[str, Any]]] = [[], []]
    for _ in range(1 if options.quick else options.rounds):
        for place, manifest in enumerate(manifests):
            process = start_runs(options, [run_settings(options, manifest, [encoder])])
            peaks = sample_peaks(process)
            rows[place].append(finish_runs(process)[0] | {"peak_mib": peaks})
    largest = [{k: max(r["peak_mib"][k] for r in of) for k in of[0]["peak_mib"]} for of in rows]
    figures = []
    for name, small in largest[0].items():
        figures.append(Figure(f"peak MiB, small slide, {name}", small))
        figures.append(Figure(f"peak MiB, large slide, {name}", largest[1][name]))
    growth = largest[1]["all"] / largest[0]["all"]
    figures.append(Figure("large / small, all", growth, "<= 1.15", growth <= 1.15))
    return Result(figures, {"small": rows[0], "large": rows[1]})
