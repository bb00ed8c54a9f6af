"""Whole runs with one reader and with two, where reading is what takes the time.

What two cores give to two processes that share memory and caches is less than twice what one has;
the same reading without Ray, by one process and by two, says how much less.
"""

import statistics

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
from benchmarks.read_cost import read_together

COUNTS = (1, 2)
READERS = ("openslide", "direct")
TILES = 600
"""Read without Ray, of the first slide."""


def measure_readers(options: Options) -> Result:
    """Through OpenSlide and directly, with one and two readers in turn, Ray warm."""
    side = 4_000 if options.quick else 12_000
    slides = options.slides or (synthetic_slide(options.folder / "R.svs", side),)
    manifest = write_manifest(options.fresh("manifest.csv"), slides)
    ways = [(kind, count) for kind in READERS for count in COUNTS]
    found: dict[str, list[float]] = {}
    for _ in range(1 if options.quick else options.rounds):
        runs = [
            run_settings(options, manifest, [FREE], slide_reader=kind, readers=count)
            for kind, count in ways
        ]
        results, _ = make_runs(options, runs)
        for (kind, count), result in zip(ways, results, strict=True):
            found.setdefault(f"{kind}, {count}", []).append(result["tiles"] / result["work_s"])
            bare = read_together(manifest, TILES, kind, count)
            found.setdefault(f"{kind}, {count}, no Ray", []).append(bare)
    middle = {name: statistics.median(rates) for name, rates in found.items()}
    figures = [Figure(f"tiles/s: {name} readers", rate) for name, rate in middle.items()]
    for kind in READERS:
        gain = middle[f"{kind}, 2"] / middle[f"{kind}, 1"]
        bare = middle[f"{kind}, 2, no Ray"] / middle[f"{kind}, 1, no Ray"]
        figures.append(Figure(f"two readers over one: {kind}", gain, ">= 1.8", gain >= 1.8))
        figures.append(Figure(f"two readers over one: {kind}, no Ray", bare))
    return Result(figures, {"rates": found})
