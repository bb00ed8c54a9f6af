"""Many small slides against one large one of as many tiles."""

import shutil
import statistics

from benchmarks.bench import Figure, Options, Result, make_runs, run_settings, write_manifest
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR

ENCODER = "random:resnet18?seed=0&px=224"
BIOPSIES = 500
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
    copies = [options.folder / f"B{n}.svs" for n in range(20 if options.quick else BIOPSIES)]
    for path in copies:
        shutil.copyfile(small, path)
    encoder = options.encoder or ENCODER
    many = write_manifest(options.fresh("many.csv"), copies)
    one = write_manifest(options.fresh("one.csv"), [large])
    rates: dict[str, list[float]] = {"many": [], "one": []}
    tiles = {}
    for _ in range(1 if options.quick else options.rounds):
        manifests = {"many": many, "one": one}
        runs = [run_settings(options, manifest, [encoder]) for manifest in manifests.values()]
        for name, result in zip(manifests, make_runs(options, runs)[0], strict=True):
            rates[name].append(result["tiles"] / result["work_s"])
            tiles[name] = result["tiles"]
    shares = [a / b for a, b in zip(rates["many"], rates["one"], strict=True)]
    share = statistics.median(shares)
    return Result(
        [
            Figure(f"tiles/s, {len(copies)} slides", statistics.median(rates["many"])),
            Figure("tiles/s, one slide", statistics.median(rates["one"])),
            Figure("many / one", share, ">= 0.75", share >= 0.75),
        ],
        {"rates": rates, "tiles": tiles},
    )
