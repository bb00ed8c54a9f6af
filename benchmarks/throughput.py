"""Whole-run throughput against a bare encode loop, and against what CPU seconds allow together."""

import os
import statistics
from typing import Any

from benchmarks.bench import (
    Figure,
    Options,
    Result,
    ask_module,
    make_runs,
    run_settings,
    synthetic_slide,
    write_manifest,
)

ENCODER = "random:legacy_xception?seed=0&px=224"
BATCH = 32


def measure_throughput(options: Options) -> Result:
    """Bare loop, whole run, bare loop ...: every run is held against the loops around it."""
    encoder = options.encoder or ENCODER
    slides = options.slides or (
        synthetic_slide(options.folder / "T.svs", 4_000 if options.quick else 20_000),
    )
    manifest = write_manifest(options.fresh("manifest.csv"), slides)
    batches, threads = (2 if options.quick else 6), os.cpu_count() or 1
    batch = options.settings.get("batch_size") or BATCH

    def bare() -> dict[str, float]:
        return ask_module("benchmarks.bare_loop", encoder, batch, batches, threads)

    loops, reads, runs = [bare()], [], []
    for _ in range(1 if options.quick else options.rounds):
        settings = run_settings(options, manifest, [encoder], batch_size=batch)
        (run,), command_s = make_runs(options, [settings])
        runs.append(run | {"command_s": command_s})
        reads.append(ask_module("benchmarks.read_cost", manifest, 128))
        loops.append(bare())
    of_bare, of_allowed = [], []
    for at, run in enumerate(runs):
        around = loops[at : at + 2]
        encode = statistics.mean(loop["cpu_s_per_image"] for loop in around)
        allowed = threads / (encode + reads[at]["cpu_s_per_tile"])
        of_bare.append(run["tiles_per_s"] / statistics.mean(x["images_per_s"] for x in around))
        of_allowed.append(run["tiles_per_s"] / allowed)
    detail: dict[str, Any] = {"bare": loops, "read": reads, "runs": runs}
    bare_share, cpu_share = statistics.median(of_bare), statistics.median(of_allowed)
    return Result(
        [
            Figure("tiles/s of a whole run", statistics.median(r["tiles_per_s"] for r in runs)),
            Figure(
                "images/s of the bare loop", statistics.median(x["images_per_s"] for x in loops)
            ),
            Figure("run / bare loop", bare_share, ">= 0.85", bare_share >= 0.85),
            Figure("run / what CPU seconds allow", cpu_share, ">= 0.92", cpu_share >= 0.92),
            Figure("seconds of a whole command", statistics.median(r["command_s"] for r in runs)),
        ],
        detail | {"of_bare": of_bare, "of_allowed": of_allowed},
    )
