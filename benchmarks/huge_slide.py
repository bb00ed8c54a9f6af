"""One slide of 100,000 tiles on one reader and on four: `python -m benchmarks.huge_slide`, JSON.

The product's own driver (`RayPipeline`) over real Ray actors that sleep in place of reading and of
finding tissue, so that what is measured is who waits for whom, not the cores of this machine.
Further slides (`--others`) are planned and read beside it: while one reader finds the tissue of the
huge one, none of the others shall be idle.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

from benchmarks.__main__ import describe_machine
from benchmarks.bench_store import make_facts
from benchmarks.driver import InstantEncoder, InstantReader
from histo_ray.cluster.pool import QUEUE_PER_WORKER, PooledActor
from histo_ray.cluster.ray_pipeline import RayPipeline
from histo_ray.cluster.session import ray_session
from histo_ray.extract.meter import CallResult, Spent
from histo_ray.extract.resources import Workers
from histo_ray.extract.slide import SubjectPlan
from histo_ray.extract.work import SubjectWork
from histo_ray.types import LevelRead, Slide, TileGrid

TILES, OTHERS_TILES = 100_000, 1_000
BATCH, BATCHES = 32, 8
TILES_PER_S = 1_000.0
"""Of a reader (docs/benchmarks.md, Extraction)."""
PLAN_S = 2.0
"""Seconds to find the tissue of the huge slide; of others a hundredth."""
GOAL = 3.6


class SleepingReader(InstantReader):
    """A reader whose work is waiting, and that says how long it worked."""

    def plan(self, slide: Slide) -> tuple[SubjectPlan, CallResult]:
        """A grid, after a while."""
        tiles = TILES if slide.slide_id == "huge" else OTHERS_TILES
        seconds = PLAN_S * tiles / TILES
        time.sleep(seconds)
        facts = make_facts("instant")
        about = facts.slide.model_copy(update={"slide_id": slide.slide_id})
        coords, tissue = np.zeros((tiles, 2), np.int32), np.ones(tiles, np.float32)
        grid = TileGrid(slide.slide_id, coords, tissue, (448.0, 448.0))
        level = LevelRead(0, (1.0, 1.0), (448.0, 448.0), (448, 448))
        plan = SubjectPlan(about, facts.tiling, grid, level, "")
        return plan, CallResult(None, Spent(seconds))

    def read(self, slide: Slide, plan: SubjectPlan, span: range, step: int) -> tuple[Any, Any]:
        """Pixels that are too small to be one, after a while."""
        seconds = len(span) / TILES_PER_S
        time.sleep(seconds)
        focus = np.ones(len(span), np.float32)
        return np.zeros((len(span), 1, 1, 3), np.uint8), CallResult(focus, Spent(seconds))


def measure(readers: int, others: int) -> dict[str, float]:
    """Seconds, and the share of them in which readers worked."""
    import ray

    names = ["huge", *(f"S{n}" for n in range(others))]
    todo = [SubjectWork(Slide(name, f"/slides/{name}.svs", name), ("instant",)) for name in names]
    actor = ray.remote(SleepingReader).options(num_cpus=0)
    members = [PooledActor(actor.remote(), queue=QUEUE_PER_WORKER) for _ in range(readers)]
    encoder = PooledActor(ray.remote(InstantEncoder).options(num_cpus=0).remote(), queue=4)
    ray.get([member.handle.node.remote() for member in (*members, encoder)])
    blocks = (2 * readers + 4) * BATCHES
    workers = Workers(readers, 0, 0, 1, 0, 0, 1, BATCH, blocks, batches_a_call=BATCHES)
    facts = {"instant": make_facts("instant").encoder}
    with RayPipeline(members, [encoder], facts, workers, "run") as pipeline:
        began = time.monotonic()
        pipeline.run(todo, lambda work: None)
        seconds = time.monotonic() - began
    busy = [sum(spent.busy_s for spent in member.spent.values()) for member in members]
    return {
        "readers": readers,
        "seconds": seconds,
        "tiles_per_s": (TILES + others * OTHERS_TILES) / seconds,
        "busy": sum(busy) / (readers * seconds),
        "least_busy": min(busy) / seconds,
    }


def main() -> None:
    """Measure one reader, then four."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--others", type=int, default=0)
    args = parser.parse_args()
    rows = []
    with ray_session("local"):
        for readers in args.readers:
            rows.append(measure(readers, args.others))
            rows[-1]["times_one"] = rows[-1]["tiles_per_s"] / rows[0]["tiles_per_s"]
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps({"machine": describe_machine(), "goal": GOAL, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
