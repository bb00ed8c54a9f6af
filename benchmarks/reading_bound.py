"""A run whose encoder costs nothing, against processes that only read, in turn."""

import shutil
import statistics

from benchmarks.bare_readers import read_bare
from benchmarks.bench import (
    Figure,
    Options,
    Result,
    make_runs,
    run_settings,
    synthetic_slide,
    write_manifest,
)
from benchmarks.free_encoder import FREE

SLIDES = 8
READERS = 2
GOAL = 0.92


def measure_reading_bound(options: Options) -> Result:
    """Eight slides and two readers, Ray warm; CPU milliseconds a tile of every kind of process."""
    slides = options.slides
    if not slides:
        first = synthetic_slide(options.folder / "R1.svs", 4_000 if options.quick else 23_000)
        slides = (first, *(first.with_name(f"R{n}.svs") for n in range(2, SLIDES + 1)))
        for path in slides[1:]:
            shutil.copyfile(first, path)
    manifest = write_manifest(options.fresh("manifest.csv"), slides)
    shares, rates, bare_rates, spent = [], [], [], []
    for _ in range(1 if options.quick else options.rounds):
        bare = read_bare(manifest, READERS)
        run = run_settings(options, manifest, [FREE], **{"readers": READERS, **options.settings})
        [result], _ = make_runs(options, [run])
        rates.append(result["tiles"] / result["work_s"])
        bare_rates.append(bare["tiles_per_s"])
        shares.append(rates[-1] / bare_rates[-1])
        each = {kind: 1000 * cpu / result["tiles"] for kind, cpu in result["cpu_s"].items()}
        spent.append({"bare": bare["cpu_ms_a_tile"], "run": sum(each.values()), **each})
    share = statistics.median(shares)
    middle = {
        kind: statistics.median(each.get(kind, 0.0) for each in spent)
        for kind in dict.fromkeys(kind for each in spent for kind in each)
    }
    figures = [
        Figure("tiles/s, bare readers", statistics.median(bare_rates)),
        Figure("tiles/s, run", statistics.median(rates)),
        Figure("run / bare readers", share, f">= {GOAL}", share >= GOAL),
        Figure("the same by CPU seconds", middle["bare"] / middle["run"]),
        *(Figure(f"CPU ms a tile, {kind}", cpu) for kind, cpu in middle.items()),
    ]
    return Result(figures, {"shares": shares, "run": rates, "bare": bare_rates, "cpu_ms": spent})
