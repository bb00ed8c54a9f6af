"""Many small slides against one large one of as many tiles.

With an encoder that costs nothing (`--encoder free`) there are 2,000, and opening, finding tissue
and writing count.
"""

import shutil
import statistics

from benchmarks.bench import Figure, Options, Result, make_runs, run_settings, write_manifest
from benchmarks.free_encoder import FREE
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR

ENCODER = "random:resnet18?seed=0&px=224"
BIOPSIES, FREE_BIOPSIES = 500, 2_000
GOAL, FREE_GOAL = 0.75, 0.8
SMALL, LARGE, QUICK = (1_480, 1_400), (26_000, 25_500), (6_000, 5_900)
"""Pixels at 0.5 mpp: about 20 and 10,000 tiles."""


def measure_biopsies(options: Options) -> Result:
    """In turn, Ray warm. Takes exactly two slides of one's own: the small one, the large one."""
    if len(options.slides) == 2:
        small, large = options.slides
    else:  # those given are for other benchmarks
        size = QUICK if options.quick else LARGE
        small = write_slide(options.folder / "small.svs", SlideDesign(SMALL, 0.5, GLANDULAR))
        plan = SlideDesign(size, 0.5, GLANDULAR, tissue_share=0.7)
        large = write_slide(options.folder / "large.svs", plan)
    free = options.encoder == "free"
    encoder = FREE if free else options.encoder or ENCODER
    goal = FREE_GOAL if free else GOAL
    count = 20 if options.quick else FREE_BIOPSIES if free else BIOPSIES
    copies = [options.folder / f"B{n}.svs" for n in range(count)]
    for path in copies:
        shutil.copyfile(small, path)
    many = write_manifest(options.fresh("many.csv"), copies)
    one = write_manifest(options.fresh("one.csv"), [large])
    rates: dict[str, list[float]] = {"many": [], "one": []}
    cpu: dict[str, list[float]] = {"many": [], "one": []}
    tiles = {}
    for _ in range(1 if options.quick else options.rounds):
        manifests = {"many": many, "one": one}
        runs = [run_settings(options, manifest, [encoder]) for manifest in manifests.values()]
        for name, result in zip(manifests, make_runs(options, runs)[0], strict=True):
            rates[name].append(result["tiles"] / result["work_s"])
            cpu[name].append(1000 * sum(result["cpu_s"].values()) / result["tiles"])
            tiles[name] = result["tiles"]
    shares = [a / b for a, b in zip(rates["many"], rates["one"], strict=True)]
    share = statistics.median(shares)
    return Result(
        [
            Figure(f"tiles/s, {len(copies)} slides", statistics.median(rates["many"])),
            Figure("tiles/s, one slide", statistics.median(rates["one"])),
            Figure("many / one", share, f">= {goal}", share >= goal),
            *(Figure(f"CPU ms a tile, {name}", statistics.median(cpu[name])) for name in cpu),
        ],
        {"rates": rates, "tiles": tiles, "cpu_ms": cpu},
    )
