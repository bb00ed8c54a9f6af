"""One driver and many GPUs: `python -m benchmarks.many_cards`, JSON to stdout.

The product's own driver (`RayPipeline`) over real Ray actors that sleep as long as the work would
take: encoders of 3,000 images/s, and eight readers a card at the rate of the direct reader
(docs/benchmarks.md). Pixels and vectors are of 0.1 MB a call, so that they lie in shared memory and
only references come to the driver, as with real ones; what writes a partition fetches its vectors.
Cards, and their readers, share processes, a thread each, or a small machine would not hold them:
the driver makes the same calls.
"""

import argparse
import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks.__main__ import describe_machine
from benchmarks.bench_store import make_facts
from histo_ray.cluster.call_values import EncodeResult
from histo_ray.cluster.pool import QUEUE_PER_WORKER, PooledActor
from histo_ray.cluster.ray_pipeline import RayPipeline
from histo_ray.cluster.session import ray_session
from histo_ray.encoders.base import GPU_BATCHES_AT_ONCE
from histo_ray.extract.batch_size import BATCH_GPU
from histo_ray.extract.meter import CallResult, Spent
from histo_ray.extract.resources import Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.slide import SubjectPlan
from histo_ray.extract.work import SubjectWork
from histo_ray.types import LevelRead, Slide, TileGrid

CARD_RATE, READER_RATE = 3_000.0, 440.0
"""Tiles/s of a card and of a reader."""
READERS_A_CARD = 8
TILES = 10_000
"""Tiles of a slide."""
PLAN_S, COMMIT_S = 0.5, 0.05
BLOCK_BYTES = 110_000
"""Of the pixels, and of the vectors, of a call: Ray keeps more than 100 KiB in shared memory."""
ONE_CALL = Spent(device_s=1.0)
"""So that the driver's own sums count calls."""
GOAL = 0.95


class Clock:
    """A machine that does one thing after the other at a fixed rate, and sleeps on time."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def work(self, tiles: float) -> None:
        """Sleep until `tiles` are done, after all that came before."""
        with self._lock:
            self._free_at = max(time.monotonic(), self._free_at) + tiles / self._rate
            wait = self._free_at - time.monotonic()
        time.sleep(max(0.0, wait))


class SleepingReaders:
    """Readers of one card, a thread each."""

    def __init__(self) -> None:
        self._own = threading.local()

    def node(self) -> str:
        """Where they run."""
        return ""

    def plan(self, slide: Slide) -> tuple[SubjectPlan, CallResult]:
        """A grid of the usual size, after a while."""
        time.sleep(PLAN_S)
        facts = make_facts("sleep")
        about = facts.slide.model_copy(update={"slide_id": slide.slide_id})
        coords, tissue = np.zeros((TILES, 2), np.int32), np.ones(TILES, np.float32)
        grid = TileGrid(slide.slide_id, coords, tissue, (448.0, 448.0))
        level = LevelRead(0, (1.0, 1.0), (448.0, 448.0), (448, 448))
        return SubjectPlan(about, facts.tiling, grid, level, ""), CallResult(None, ONE_CALL)

    def read(self, slide: Slide, plan: SubjectPlan, span: range, *_: Any) -> tuple[Any, Any]:
        """Pixels of less than true size, after a while."""
        if not hasattr(self._own, "clock"):
            self._own.clock = Clock(READER_RATE)
        self._own.clock.work(len(span))
        side = math.ceil(math.sqrt(BLOCK_BYTES / (3 * len(span))))
        focus = np.ones(len(span), np.float32)
        return np.zeros((len(span), side, side, 3), np.uint8), CallResult(focus, ONE_CALL)

    def commit(
        self, plan: SubjectPlan, encoder: Any, pieces: Sequence[Any], run_id: str
    ) -> CallResult:
        """Vectors are fetched, as for a partition, and nothing is written."""
        import ray

        count = sum(len(ray.get(piece.ref)[piece.rows]) for piece in pieces)
        time.sleep(COMMIT_S)
        return CallResult(count, ONE_CALL)


class SleepingCards:
    """Some cards, with an encoder each, that take turns with nobody."""

    def __init__(self, cards: int) -> None:
        self._clocks = [Clock(CARD_RATE) for _ in range(cards)]

    def node(self) -> str:
        """Where they run."""
        return ""

    def encode(
        self, card: int, names: Sequence[str], batch_size: int, rows: Sequence[slice], *pixels: Any
    ) -> tuple[Any, ...]:
        """Vectors of zeros, after a while; a short batch takes as long as a full one."""
        count = sum(own.stop - own.start for own in rows)
        self._clocks[card].work(-(-count // batch_size) * batch_size)
        finite = [np.zeros(count, bool) for _ in names]
        vectors = [np.zeros((count, -(-BLOCK_BYTES // (2 * count))), np.float16) for _ in names]
        return *vectors, EncodeResult(finite, ONE_CALL, 0)


@dataclass
class CardHandle:
    """One card of a process of several, as the driver sees an actor."""

    process: Any
    card: int
    returns: int = 1

    @property
    def encode(self) -> "CardHandle":
        """Its one method."""
        return self

    def options(self, num_returns: int) -> "CardHandle":
        """Say how many references a call returns."""
        return replace(self, returns=num_returns)

    def remote(self, *arguments: Any) -> Any:
        """Call the process."""
        method = self.process.encode.options(num_returns=self.returns)
        return method.remote(self.card, *arguments)


@dataclass
class Watch:
    """What a run of the driver has come to at every turn of its loop."""

    process: psutil.Process = field(default_factory=psutil.Process)
    rows: list[tuple[float, float, int]] = field(default_factory=list)
    """Seconds, the driver's CPU seconds, tiles encoded."""

    def note(self, counts: Counts) -> None:
        """Sample ten times a second."""
        now = time.monotonic()
        if not self.rows or now - self.rows[-1][0] >= 0.1:
            cpu = sum(self.process.cpu_times()[:2])
            self.rows.append((now, cpu, counts.tiles_encoded))

    def between(self, first: float, last: float) -> tuple[float, float, int]:
        """Seconds, CPU seconds and tiles while the share of tiles went from `first` to `last`."""
        total = self.rows[-1][2]
        start = next(row for row in self.rows if row[2] >= first * total)
        end = next(row for row in self.rows if row[2] >= last * total)
        return end[0] - start[0], end[1] - start[1], end[2] - start[2]


@dataclass(frozen=True)
class Fleet:
    """Processes that stand for cards and their readers."""

    encoders: list[PooledActor]
    readers: list[PooledActor]
    processes: int


def start_fleet(cards: int, cards_a_process: int) -> Fleet:
    """Start them, and wait until all are there."""
    import ray

    encoders: list[PooledActor] = []
    readers: list[PooledActor] = []
    processes = []
    for first in range(0, cards, cards_a_process):
        count = min(cards_a_process, cards - first)
        threads = {"num_cpus": 0, "max_concurrency": count * GPU_BATCHES_AT_ONCE}
        process: Any = ray.remote(SleepingCards).options(**threads).remote(count)
        queue = GPU_BATCHES_AT_ONCE + 1
        encoders += [PooledActor(CardHandle(process, n), queue=queue) for n in range(count)]
        threads = {"num_cpus": 0, "max_concurrency": count * READERS_A_CARD}
        reading: Any = ray.remote(SleepingReaders).options(**threads).remote()
        readers += [
            PooledActor(reading, queue=QUEUE_PER_WORKER) for _ in range(count * READERS_A_CARD)
        ]
        processes += [process, reading]
    ray.get([process.node.remote() for process in processes])
    return Fleet(encoders, readers, len(processes))


def sum_cpu(driver: psutil.Process) -> float:
    """CPU seconds of the driver, Ray's own processes and those that sleep."""
    total = 0.0
    for process in (driver, *driver.children(recursive=True)):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:2])
    return total


def measure(fleet: Fleet, batches: int, seconds: float) -> dict[str, Any]:
    """Run slides for about `seconds` with calls of up to so many batches."""
    cards, readers = len(fleet.encoders), len(fleet.readers)
    slides = max(2, round(cards * CARD_RATE * seconds / TILES))
    todo = [
        SubjectWork(Slide(slide_id=f"S{n}", path=f"S{n}.svs", patient_id=f"P{n}"), ("sleep",))
        for n in range(slides)
    ]
    for member in (*fleet.encoders, *fleet.readers):
        member.slide_id = ""
    blocks = batches * (2 * readers + 4 * cards)
    workers = Workers(readers, 0, 0, cards, 0, 1, 1, BATCH_GPU, blocks)
    if batches > 1:
        workers = replace(workers, batches_a_call=batches)
    facts = make_facts("sleep").encoder
    loop = RayPipeline([*fleet.readers], [*fleet.encoders], {"sleep": facts}, workers, "run")
    watch = Watch()
    loop.report = watch.note
    all_cpu = sum_cpu(watch.process)
    began, cpu = time.monotonic(), sum(watch.process.cpu_times()[:2])
    loop.run(todo, lambda work: None)
    took, cpu = time.monotonic() - began, sum(watch.process.cpu_times()[:2]) - cpu
    middle_s, middle_cpu, middle_tiles = watch.between(0.2, 0.8)
    span = loop.counts.encode_ended - loop.counts.encode_began
    rate = cards * CARD_RATE
    calls = Counter[str]()
    for member in (*fleet.encoders, *fleet.readers):
        calls.update({kind: spent.device_s for kind, spent in member.spent.items()})
        member.spent.clear()
    all_cpu = sum_cpu(watch.process) - all_cpu
    failed = sum(bool(work.problems) for work in todo)
    return {
        "cards": cards, "readers": readers, "processes": fleet.processes, "batches_a_call": batches,
        "slides": slides, "slides_failed": failed, "seconds": round(took, 1),
        "calls": {kind: round(count) for kind, count in calls.items()},
        "calls_per_1000_tiles": round(sum(calls.values()) / slides / TILES * 1000, 2),
        "tiles_per_s_middle": round(middle_tiles / middle_s),
        "share_middle": round(middle_tiles / middle_s / rate, 3),
        "share_encoding": round(slides * TILES / span / rate, 3),
        "driver_cores_middle": round(middle_cpu / middle_s, 3),
        "driver_cpu_s_per_1000_tiles_middle": round(1000 * middle_cpu / middle_tiles, 5),
        "driver_cpu_s_per_1000_tiles": round(1000 * cpu / (slides * TILES), 5),
        "all_processes_cores": round(all_cpu / took, 2),
    }  # fmt: skip


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cards", type=int, default=40)
    parser.add_argument("--cards-a-process", type=int, default=4)
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8), help="of a call, in turn")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each, about")
    args = parser.parse_args()
    rows = []
    with ray_session("local"):
        fleet = start_fleet(args.cards, args.cards_a_process)
        for _ in range(args.turns):
            for batches in args.batches:
                rows.append(measure(fleet, batches, args.seconds))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    shares = {
        batches: median(row["share_middle"] for row in rows if row["batches_a_call"] == batches)
        for batches in args.batches
    }
    print(json.dumps({"machine": describe_machine(), "goal": GOAL, "shares": shares, "rows": rows}))


if __name__ == "__main__":
    main()
