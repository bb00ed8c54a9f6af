"""The driver alone: `python -m benchmarks.driver [--slides N] [--readers R]`, JSON to stdout.

The product's own loop (`RayPipeline`) and run table over real Ray actors that return at once with
made-up plans, pixels of one pixel a tile and vectors, so that what is left is Ray's calls and the
driver's bookkeeping. Memory is sampled in the driver while it runs.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.__main__ import describe_machine
from benchmarks.bench_store import make_facts
from histo_ray.cluster.pool import QUEUE_PER_WORKER, PooledActor
from histo_ray.cluster.ray_pipeline import RayPipeline
from histo_ray.cluster.session import ray_session
from histo_ray.config import ExtractConfig
from histo_ray.extract.meter import CallResult, Spent
from histo_ray.extract.observer import Observer
from histo_ray.extract.recorder import Recorder
from histo_ray.extract.resources import Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.slide import SubjectPlan
from histo_ray.extract.work import SubjectWork
from histo_ray.store.extraction_record import ExtractionState
from histo_ray.store.store import open_store
from histo_ray.types import LevelRead, RunRow, Slide, TileGrid

TILES, BATCH, DIM = 3_000, 1_500, 8
"""Tiles of a slide: two batches each, so that a slide is read and encoded in more than one call."""
MIB = 1 << 20
SAMPLES = 10


class InstantReader:
    """Answers as a reader does, without a slide."""

    def node(self) -> str:
        """Where it runs."""
        return ""

    def plan(self, slide: Slide) -> tuple[SubjectPlan, CallResult]:
        """A grid of the usual size."""
        facts = make_facts("instant")
        about = facts.slide.model_copy(update={"slide_id": slide.slide_id})
        coords = np.zeros((TILES, 2), np.int32)
        grid = TileGrid(slide.slide_id, coords, np.ones(TILES, np.float32), (448.0, 448.0))
        level = LevelRead(0, (1.0, 1.0), (448.0, 448.0), (448, 448))
        return SubjectPlan(about, facts.tiling, grid, level, ""), CallResult(None, Spent())

    def read(self, slide: Slide, plan: SubjectPlan, span: range, step: int) -> tuple[Any, Any]:
        """Pixels that are too small to be one."""
        return np.zeros((len(span), 1, 1, 3), np.uint8), CallResult(
            np.ones(len(span), np.float32), Spent()
        )

    def commit(self, plan: SubjectPlan, encoder: Any, pieces: Any, run_id: str) -> CallResult:
        """Nothing is written."""
        return CallResult(len(plan.grid), Spent())


class InstantEncoder:
    """Answers as an encoder does, without a network."""

    def node(self) -> str:
        """Where it runs."""
        return ""

    def encode(self, names: Any, batch_size: int, rows: Any, *pixels: Any) -> tuple[Any, ...]:
        """Vectors of zeros."""
        count = sum(own.stop - own.start for own in rows)
        finite = [np.zeros(count, bool) for _ in names]
        return *(np.zeros((count, DIM), np.float16) for _ in names), CallResult(finite, Spent())


def measure_driver(count: int, readers: int, folder: Path) -> dict[str, Any]:
    """Run `count` slides; rates, and the driver's memory as it goes along."""
    import ray

    process = psutil.Process()
    slides = [
        Slide(slide_id=f"S{n}", path=f"/slides/S{n}.svs", patient_id=f"P{n}") for n in range(count)
    ]
    todo = [SubjectWork(slide, ("instant",)) for slide in slides]
    rows: list[RunRow] = []
    config = ExtractConfig(manifest="none", store=str(folder / "store"), encoder=("instant",))
    observer = Observer("run", config, ("instant",), time.monotonic())
    recorder = Recorder(open_store(config.store, create=True), "run", rows, observer)
    samples: list[dict[str, float]] = []
    with ray_session("local"):
        actor = ray.remote(InstantReader).options(num_cpus=0)
        members = [PooledActor(actor.remote(), queue=QUEUE_PER_WORKER) for _ in range(readers)]
        encoder = PooledActor(ray.remote(InstantEncoder).options(num_cpus=0).remote(), queue=4)
        ray.get([member.handle.node.remote() for member in (*members, encoder)])
        workers = Workers(readers, 0, 0, 1, 0, 0, 1, BATCH, 2 * readers + 4)
        facts = make_facts("instant").encoder
        pipeline = RayPipeline(members, [encoder], {"instant": facts}, workers, "run")
        began, cpu = time.monotonic(), sum(process.cpu_times()[:2])

        def sample(counts: Counts) -> None:
            if counts.slides_done >= len(samples) * count / SAMPLES:
                samples.append(
                    {
                        "slides_done": counts.slides_done,
                        "seconds": round(time.monotonic() - began, 1),
                        "driver_rss_mib": round(process.memory_info().rss / MIB, 1),
                    }
                )

        pipeline.report = sample
        pipeline.run(todo, recorder.add)
        seconds = time.monotonic() - began
        cpu = sum(process.cpu_times()[:2]) - cpu
        sample(pipeline.counts)
    began = time.monotonic()
    recorder.save(ExtractionState.FINISHED)
    calls = count * (2 + 2 * -(-TILES // BATCH))
    return {
        "slides": count,
        "readers": readers,
        "seconds": round(seconds, 1),
        "slides_per_second": round(count / seconds, 1),
        "ray_calls_per_second": round(calls / seconds),
        "driver_cpu_ms_per_slide": round(1000 * cpu / count, 3),
        "run_table_save_seconds": round(time.monotonic() - began, 2),
        "samples": samples,
    }


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver", description=__doc__)
    parser.add_argument("--slides", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="histo-ray-bench-") as folder:
        result = measure_driver(args.slides, args.readers, Path(folder))
    json.dump({"machine": describe_machine(), **result}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
