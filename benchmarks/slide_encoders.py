"""CPU time of each slide encoder of ours on one slide, and of a fit.

`python -m benchmarks.slide_encoders [TILES] [DIM]`. Vectors are drawn about 12 centres, as
tiles of a slide lie in clusters; they are no tissue.
"""

import resource
import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from histo_ray.pooling.slide_encoders.base import SlideMethod, SlideSettings
from histo_ray.pooling.slide_encoders.registry import FITTED, METHODS
from histo_ray.store.half_floats import Float32s

ROUNDS = 3
FIT_SLIDES = 100


def draw_tiles(count: int, dim: int, seed: int) -> Float32s:
    """Draw tiles about 12 centres, (count, dim)."""
    centres = np.random.default_rng(0).standard_normal((12, dim), np.float32)
    random = np.random.default_rng(seed)
    noise = random.standard_normal((count, dim), np.float32)
    return centres[random.integers(0, 12, count)] * 2 + noise


def time_encode(method: SlideMethod, tiles: Float32s) -> tuple[float, float]:
    """Least CPU and wall seconds of one slide in some rounds."""
    taken = []
    for _ in range(ROUNDS):
        cpu, wall = time.process_time(), time.perf_counter()
        method.encode(tiles)
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(one for one, _ in taken), min(one for _, one in taken)


def main(count: int = 10_000, dim: int = 1_536) -> None:
    """Print a row a method."""
    tiles = draw_tiles(count, dim, seed=1)
    settings = SlideSettings()
    some = draw_tiles(FIT_SLIDES * settings.tiles_per_slide, dim, seed=2)
    print(f"{count:,} tiles of {dim:,}; fits on {len(some):,} tiles; one thread")
    with threadpool_limits(1):
        for kind in METHODS:
            report(kind.name, kind(), tiles, 0.0)
        for fitted in FITTED:
            began = time.process_time()
            method = fitted.fit(some, settings)
            report(fitted.name, method, tiles, time.process_time() - began)


def report(name: str, method: SlideMethod, tiles: Float32s, fit_s: float) -> None:
    """Print one row."""
    cpu, wall = time_encode(method, tiles)
    width = len(method.encode(tiles[:9]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name:<12} {width:>6,} numbers  {cpu:6.2f} CPU s  {wall:6.2f} s wall  "
        f"fit {fit_s:6.1f} CPU s  peak {peak:,.0f} MiB so far",
        flush=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
