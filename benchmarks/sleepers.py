"""Scaling of the loop with simulated work: `python -m benchmarks.sleepers`, JSON to stdout.

The product's own driver (`RayPipeline`) over real Ray actors that sleep as long as the work took
when it was measured on this machine, so that two cores can hold 16 of each. A worker is one reader
and one encoder. Slides grow with the workers: efficiency is tiles/s over workers times the tiles/s
of one.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

from benchmarks.__main__ import describe_machine
from benchmarks.bench_store import make_facts
from benchmarks.driver import DIM, InstantEncoder, InstantReader
from histo_ray.cluster.pool import BATCHES_AT_ONCE, QUEUE_PER_WORKER, PooledActor
from histo_ray.cluster.ray_pipeline import RayPipeline
from histo_ray.cluster.session import ray_session
from histo_ray.extract.meter import CallResult, Spent
from histo_ray.extract.resources import Workers
from histo_ray.extract.slide import SubjectPlan
from histo_ray.extract.work import SubjectWork
from histo_ray.types import LevelRead, Slide, TileGrid

BATCH = 16
TILES = 15 * BATCH
"""Tiles of a slide."""
ENCODE_S = BATCH / 14.7
"""Xception at 224 px, bare loop (docs/benchmarks.md, Extraction)."""
READ_S = BATCH / 440
"""Direct reader, 40x RGB (docs/benchmarks.md, Reading)."""
PLAN_S, COMMIT_S = 0.5, 0.05
COUNTS = (1, 2, 4, 8, 16)
GOAL = 0.95


class SleepingReader(InstantReader):
    """A reader whose work is waiting."""

    def plan(self, slide: Slide) -> tuple[SubjectPlan, CallResult]:
        """A grid, after a while."""
        time.sleep(PLAN_S)
        facts = make_facts("sleep")
        about = facts.slide.model_copy(update={"slide_id": slide.slide_id})
        coords, tissue = np.zeros((TILES, 2), np.int32), np.ones(TILES, np.float32)
        grid = TileGrid(slide.slide_id, coords, tissue, (448.0, 448.0))
        level = LevelRead(0, (1.0, 1.0), (448.0, 448.0), (448, 448))
        return SubjectPlan(about, facts.tiling, grid, level, ""), CallResult(None, Spent())

    def read(self, slide: Slide, plan: SubjectPlan, span: range, step: int) -> tuple[Any, Any]:
        """Pixels of true size, after a while."""
        time.sleep(READ_S * len(span) / BATCH)
        focus = np.ones(len(span), np.float32)
        return np.zeros((len(span), 224, 224, 3), np.uint8), CallResult(focus, Spent())

    def commit(self, plan: SubjectPlan, encoder: Any, pieces: Any, run_id: str) -> CallResult:
        """Nothing is written, after a while."""
        time.sleep(COMMIT_S)
        return CallResult(len(plan.grid), Spent())


class SleepingEncoder(InstantEncoder):
    """An encoder whose work is waiting."""

    def encode(self, names: Any, batch_size: int, rows: Any, *pixels: Any) -> tuple[Any, ...]:
        """Vectors of zeros, after a while; a short batch takes as long as a full one."""
        time.sleep(ENCODE_S)
        return super().encode(names, batch_size, rows, *pixels)


def measure(count: int, slides_each: int) -> dict[str, float]:
    """Tiles/s of `count` workers."""
    import ray

    todo = [
        SubjectWork(
            Slide(slide_id=f"S{n}", path=f"/slides/S{n}.svs", patient_id=f"P{n}"), ("sleep",)
        )
        for n in range(count * slides_each)
    ]
    reader = ray.remote(SleepingReader).options(num_cpus=0)
    encoder = ray.remote(SleepingEncoder).options(num_cpus=0)
    readers = [PooledActor(reader.remote(), queue=QUEUE_PER_WORKER) for _ in range(count)]
    encoders = [PooledActor(encoder.remote(), queue=QUEUE_PER_WORKER) for _ in range(count)]
    ray.get([member.handle.node.remote() for member in (*readers, *encoders)])
    blocks = count * (QUEUE_PER_WORKER + BATCHES_AT_ONCE) + 4
    workers = Workers(count, 0, count, 1, 0, 0, 1, BATCH, blocks)
    with RayPipeline(
        readers, encoders, {"sleep": make_facts("sleep").encoder}, workers, "r"
    ) as loop:
        began = time.monotonic()
        loop.run(todo, lambda work: None)
        seconds = time.monotonic() - began
    tiles = len(todo) * TILES
    return {"workers": count, "tiles": tiles, "seconds": seconds, "tiles_per_s": tiles / seconds}


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--slides", type=int, default=4, help="a worker")
    args = parser.parse_args()
    rows: list[dict[str, float]] = []
    with ray_session("local"):
        for count in args.workers:
            rows.append(measure(count, args.slides))
            alone = rows[0]["tiles_per_s"] / rows[0]["workers"]
            rows[-1]["efficiency"] = rows[-1]["tiles_per_s"] / (count * alone)
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    result = {"machine": describe_machine(), "encode_s": ENCODE_S, "read_s": READ_S, "dim": DIM}
    print(json.dumps({**result, "goal": GOAL, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
