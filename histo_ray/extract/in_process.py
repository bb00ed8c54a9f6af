"""The work of a run in this process, without Ray: plan, read, encode, commit, slide by slide.

The pieces are those that Ray's actors call, so the bits are the same. Threads find the tissue of
the next slide and read the next tiles while this one encodes and writes, in the order of one. What
a process of its own would have survived (a decoder that crashes, memory that runs out) ends the run
here; the same command goes on from what is stored.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import groupby

import torch

from histo_ray.encoders.encode_pass import TilePass
from histo_ray.errors import ConfigError, SlideError
from histo_ray.extract.batch_ladder import BatchLadder, load_ladders, smallest_limit
from histo_ray.extract.encoder_plan import plan_encoders
from histo_ray.extract.interleave import interleave_spans
from histo_ray.extract.loading import check_loaded
from histo_ray.extract.metric_samples import Sample
from histo_ray.extract.open_reader import open_reader
from histo_ray.extract.pipeline import Report, RunOrder
from histo_ray.extract.plan_processes import count_cores
from histo_ray.extract.read_ahead import call_ahead
from histo_ray.extract.resources import Node, Workers
from histo_ray.extract.run_counts import Counts, StartTimes
from histo_ray.extract.run_workers import plan_run_workers
from histo_ray.extract.slide import (
    SubjectPlan,
    TileBlock,
    keep_measures,
    nonfinite_problem,
    partition_facts,
)
from histo_ray.extract.this_machine import describe_machine
from histo_ray.extract.thread_costs import Costs, Side
from histo_ray.extract.tile_reader import TileReader
from histo_ray.extract.work import SubjectWork
from histo_ray.storage.full_disk import FULL, describe_full
from histo_ray.store.store import Store
from histo_ray.types import EncoderFacts, TileRows


@contextmanager
def open_in_process(order: RunOrder) -> Iterator["InProcessPipeline"]:
    """Load the encoders of a run here, and work on its subjects one after the other.

    Within it SIGTERM is what Ctrl-C is.

    Raises:
        ConfigError: Weights that cannot be had, a full disk, or too little GPU memory.
        DeviceError: The GPU failed.
        StoreError: The store knows an encoder's name for other weights.
    """
    nodes = [describe_machine(torch.cuda.device_count())]
    workers = plan_run_workers(nodes, order.settings, order.specs)
    with (
        _sigterm_interrupts(),
        _explained_errors(),
        closing(open_reader(order.settings)) as reader,
        closing(Threads()) as threads,
    ):
        plan = plan_encoders(order.settings, workers)
        began = time.monotonic()
        loaded = load_ladders(order.settings, order.specs, plan)
        check_loaded(order.store, [about for _, about in loaded])
        pipeline = InProcessPipeline(order, (reader, threads), loaded, workers, nodes)
        pipeline.counts.start = StartTimes(loading_s=time.monotonic() - began)
        yield pipeline


MOST_READERS = 8
"""Threads that read at most: Python's lock lets more gain little, and each holds a batch."""


class Threads:
    """Threads of a run: one that plans, as slides are planned one by one, and some that read."""

    def __init__(self) -> None:
        self.count = min(count_cores(), MOST_READERS)
        self.planning = ThreadPoolExecutor(1, "plan")
        self.reading = ThreadPoolExecutor(self.count, "read")

    def close(self) -> None:
        """Wait for what is at work, and drop what is not."""
        self.planning.shutdown(cancel_futures=True)
        self.reading.shutdown(cancel_futures=True)


Rows = dict[str, list[TileRows]]
"""Rows of the partitions of one subject and tiling, by encoder."""


class InProcessPipeline:
    """A `RunPipeline` in this process."""

    takes_turns = True

    def __init__(
        self,
        order: RunOrder,
        reading: tuple[TileReader, Threads],
        loaded: Sequence[tuple[BatchLadder, EncoderFacts]],
        workers: Workers,
        nodes: Sequence[Node],
    ) -> None:
        self._settings = order.settings
        self._store: Store = order.store
        self._run_id = order.run_id
        self._reader, self._threads = reading
        self._encoders = {about.name: encoder for encoder, about in loaded}
        self.facts: Mapping[str, EncoderFacts] = {about.name: about for _, about in loaded}
        self.workers = workers
        self.nodes = nodes
        self.readers = [Side() for _ in range(self._threads.count)]
        self.encoders = [Side()]
        self.counts = Counts(0)
        self.report: Report = lambda counts: None
        self._costs = Costs(self.readers[0], self.encoders[0])

    def run(self, subjects: Iterable[SubjectWork], finish: Callable[[SubjectWork], None]) -> None:
        """Extract all subjects; `finish` is called with each.

        Raises:
            HistoRayError: Something that is not one subject's fate.
        """
        todo = [list(works) for _, works in groupby(subjects, key=lambda work: work.slide_id)]
        self.counts.slides = len(todo)
        self._turn()
        for works, planning in call_ahead(self._threads.planning, self._plan, todo, 1):
            self._extract(works, planning.result())
            self.counts.slides_done += 1
            self.counts.slides_failed += any(work.problems for work in works)
            for work in works:
                finish(work)
                work.release()
            self._turn()

    def export(self, samples: Sequence[Sample]) -> None:
        """Metrics of one process are not exported."""

    def _plan(self, works: Sequence[SubjectWork]) -> list[SubjectPlan | SlideError]:
        """Plan one subject in all its tilings; why not, where that cannot be."""
        found: list[SubjectPlan | SlideError] = []
        for work in works:
            work.began = time.monotonic()
            try:
                with self._costs.of_thread("plan"):
                    found.append(self._reader.plan(work.subject))
            except SlideError as error:
                found.append(error)
        return found

    def _extract(
        self, works: Sequence[SubjectWork], plans: Sequence[SubjectPlan | SlideError]
    ) -> None:
        """Bring one subject, in all its tilings, into the store, or note why that cannot be."""
        planned: list[tuple[SubjectWork, SubjectPlan]] = []
        for work, plan in zip(works, plans, strict=True):
            if isinstance(plan, SlideError):
                work.fail(plan.problem)
                continue
            work.begin(plan, None, self)
            self.counts.tiles_planned += work.tiles
            planned.append((work, plan))
        self.counts.slides_planned += bool(planned)
        sizes = [self.workers.batch_of(work.group) for work, _ in planned]
        rows: list[Rows] = [{name: [] for name in work.encoders} for work, _ in planned]
        spans = interleave_spans([plan.grid.coords for _, plan in planned], sizes)

        def read(job: tuple[int, range]) -> TileBlock | None:
            work, plan = planned[job[0]]
            if work.finished:  # it has failed meanwhile
                return None
            with self._costs.of_thread("read"):
                return self._reader.read(work.subject, plan, job[1])

        ahead = call_ahead(self._threads.reading, read, spans, self._threads.count)
        for (at, span), reading in ahead:
            work, plan = planned[at]
            if work.finished:
                continue
            try:
                self._encode_tiles(work, plan, span, reading, rows[at])
            except SlideError as error:
                work.fail(error.problem)
            if span.stop == work.tiles or work.finished:
                self._commit(work, plan, rows[at])
        for at, (work, plan) in enumerate(planned):
            if not work.tiles:
                self._commit(work, plan, rows[at])

    def _encode_tiles(
        self,
        work: SubjectWork,
        plan: SubjectPlan,
        span: range,
        reading: "Future[TileBlock | None]",
        rows: Rows,
    ) -> None:
        """Encode some tiles, which are read once, with every encoder that has not failed.

        Args:
            work: Their slide, in one tiling.
            plan: Its plan.
            span: Their tile_ids.
            reading: Their pixels.
            rows: Rows of each encoder's partition, which are added to.
        """
        block = reading.result()
        if block is None:
            raise RuntimeError(f"tiles {span} of {work.slide_id} were not read, but it goes on")
        self.counts.tiles_read += len(span)
        self.counts.encode_began = self.counts.encode_began or time.monotonic()
        here = slice(span.start, span.stop)
        texts = {name: values[here] for name, values in plan.texts.items()}
        coords, tissue = plan.grid.coords[here], plan.grid.tissue[here]
        tiles = TilePass([block.pixels])  # on a GPU it is copied there once for all encoders
        size = self.workers.batch_of(work.group)
        for name in work.encoders_left:
            with self._costs.of_encoding(self._device_s):
                vectors, bad = self._encoders[name].encode(tiles, size, self._settings.dtype)
            self.counts.vectors[name] += len(span)
            if bad.any():
                tile_id = span.start + int(bad.argmax())
                work.problems[name] = nonfinite_problem(self.facts[name], tile_id)
                rows[name].clear()
                continue
            rows[name].append(TileRows(coords, tissue, block.focus, vectors, texts))
        self.counts.tiles_encoded += len(span)
        self.counts.encode_ended = time.monotonic()
        if limit := smallest_limit(self._encoders.values()):
            self.counts.note_smaller_batch(limit)
        self._turn()

    def _commit(self, work: SubjectWork, plan: SubjectPlan, rows: Rows) -> None:
        """Write the partitions of all encoders that have not failed, and let their rows go."""
        for name in work.encoders_left:
            with self._costs.of_thread("commit"):
                facts = partition_facts(plan, work.facts_of(self.facts[name]), self._run_id)
                keep_measures(self._store.root, plan, self._settings.replace_changed)
                receipt = self._store.commit(
                    facts.key,
                    facts,
                    rows[name],
                    format=self._settings.format,
                    replace=self._settings.replace_changed,
                )
            work.committed[name] = receipt.tile_count
        rows.clear()

    def _device_s(self) -> float:
        return sum(encoder.device_s for encoder in self._encoders.values())

    def _turn(self) -> None:
        self.counts.turn(0)
        self.report(self.counts)


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM, as job schedulers send it, becomes KeyboardInterrupt in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _explained_errors() -> Iterator[None]:
    """Raise what a caller can act on where a disk is full or a GPU's memory does not suffice."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ConfigError(describe_full(error)) from error
        raise
    except torch.OutOfMemoryError as error:
        raise ConfigError(f"encoder: out of GPU memory ({error}); lower --batch-size") from None
