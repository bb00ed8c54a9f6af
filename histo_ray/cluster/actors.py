"""Actors: each holds one costly resource and forwards to plain functions.

They are ordinary classes. `pool` wraps them with Ray, tests call them directly. A slide that cannot
be used is a value (`SlideFailure`), anything else ends the run. Each result says what its process
has spent since the last one (`CallResult`).
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
from threadpoolctl import threadpool_limits

from histo_ray.cluster.call_values import (
    Begun,
    CommitOrder,
    EncodedBlock,
    EncodeResult,
    SharedSubject,
    SlideFailure,
)
from histo_ray.config import ExtractConfig, RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.encode_pass import TilePass, split_blocks
from histo_ray.errors import SlideError
from histo_ray.extract.batch_ladder import BatchLadder, load_ladders, smallest_limit
from histo_ray.extract.block_memory import BlockMemory
from histo_ray.extract.encoder_plan import EncoderPlan
from histo_ray.extract.meter import CallResult, Meter
from histo_ray.extract.open_reader import open_reader
from histo_ray.extract.plan_summary import DrawSlide
from histo_ray.extract.slide import SubjectPlan, TileBlock, keep_measures, partition_facts
from histo_ray.extract.subject import Subject
from histo_ray.extract.tile_reader import Pixels
from histo_ray.store.store import Store, open_store
from histo_ray.types import EncoderFacts, Floats, Slide, TileRows

NEEDED_FOR_SLIDES = ("histo_ray.slides.direct.direct_opening", "scipy.sparse")
"""Modules imported while encoders still load; otherwise the first slide waits for them."""
WRITES = 8
"""Small partitions that are written side by side: most of the time goes to waiting for the disk or
the object store."""
Encoded = tuple[Floats, npt.NDArray[np.bool_]]
"""Vectors of an encoder, and which of them are not finite."""


def node_id() -> str:
    """Ray's id of this machine; empty outside Ray."""
    return ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""


class Reader:
    """Plans slides or tile sets, reads their tiles and writes their partitions, on one CPU."""

    def __init__(self, settings: RunSettings, niceness: int = 0) -> None:
        if niceness:
            os.nice(niceness)  # where cores are shared, encoding goes first
        for name in NEEDED_FOR_SLIDES if isinstance(settings, ExtractConfig) else ():
            import_module(name)
        pa.set_cpu_count(1)
        threadpool_limits(1)
        self._settings = settings
        self._reader = open_reader(settings)
        self._fetched: dict[str, Subject] = {}
        self._store: Store | None = None
        self._meter = Meter()
        self._memory = BlockMemory()

    def node(self) -> str:
        """Node that this process runs on; returns once it has started."""
        return node_id()

    def ready(self) -> tuple[str, dict[str, EncoderFacts]]:
        """Node that it runs on; the second part is for encoders."""
        return node_id(), {}

    def plan(self, sent: Subject | SharedSubject) -> tuple[SubjectPlan | None, CallResult]:
        """Plan of one subject, and what went wrong, if anything did."""
        with self._meter.work():
            try:
                plan = self._reader.plan(self._fetch(sent))
            except SlideError as error:
                failure = SlideFailure(sent.slide_id, error.problem)
                return None, self._meter.result(failure)
        return plan, self._meter.result(None)

    def draw(self, draw: DrawSlide, slide: Slide, config: ExtractConfig, folder: str) -> str:
        """Draw one slide into `folder` with `draw`; why not, if not."""
        return draw(slide, config, folder)

    def read(
        self, sent: Subject | SharedSubject, plan: SubjectPlan, span: range, step: int = 0
    ) -> tuple[npt.NDArray[np.uint8], CallResult]:
        """Read tiles.

        Args:
            sent: Their subject.
            plan: Its plan.
            span: Their tile_ids.
            step: Tiles that are read, and have their stain normalised, at once; 0: all.

        Returns:
            (n, tile_px, tile_px, 3) pixels, and their (n,) focus or what went wrong.
        """
        with self._meter.work():
            try:
                block = self._read_block(self._fetch(sent), plan, span, step or len(span))
            except SlideError as error:
                failure = SlideFailure(sent.slide_id, error.problem)
                return np.empty((0, 0, 0, 3), np.uint8), self._meter.result(failure)
        return block.pixels, self._meter.result(block.focus)

    def _read_block(self, subject: Subject, plan: SubjectPlan, span: range, step: int) -> TileBlock:
        """Tiles of a span; what lies in memory between file and pixels is of `step` tiles."""
        px = plan.tiling.settings["tile_px"]
        pixels = self._memory.take((len(span), px, px, 3))
        return TileBlock(pixels, self._read_into(pixels, subject, plan, span, step))

    def _read_into(
        self, pixels: Pixels, subject: Subject, plan: SubjectPlan, span: range, step: int
    ) -> npt.NDArray[np.float32]:
        """Read tiles into memory that is given; their focus."""
        focus = np.empty(len(span), np.float32)
        for start in range(0, len(span), step):
            rows = slice(start, min(start + step, len(span)))
            focus[rows] = self._reader.read(subject, plan, span[rows], pixels[rows]).focus
        return focus

    def begin(
        self, subjects: Sequence[Subject], most: int, step: int
    ) -> tuple[npt.NDArray[np.uint8], CallResult]:
        """Plan small subjects, and read each whole as long as there is room for it.

        Args:
            subjects: At least one.
            most: Tiles that may be read, of all together. Of a first subject with more, so many
                are; of others none.
            step: Tiles that are read, and have their stain normalised, at once.

        Returns:
            (n, tile_px, tile_px, 3) pixels of all, in order; and a `Begun` or `SlideFailure` of
            each.
        """
        with self._meter.work():
            begun: list[Begun | SlideFailure] = []
            pixels, used = np.empty((0, 0, 0, 3), np.uint8), 0
            for subject in subjects:
                try:
                    plan = self._reader.plan(subject)
                    count = min(len(plan.grid), most)
                    if used + count > most:
                        count = 0
                    if not len(pixels):
                        px = plan.tiling.settings["tile_px"]
                        pixels = self._memory.take((most, px, px, 3))
                    part = pixels[used : used + count]
                    focus = self._read_into(part, subject, plan, range(count), step)
                except SlideError as error:
                    begun.append(SlideFailure(subject.slide_id, error.problem))
                else:
                    begun.append(Begun(plan, focus))
                    used += count
        return pixels[:used], self._meter.result(begun)

    def commit(
        self, plan: SubjectPlan, encoder: EncoderFacts, pieces: Sequence[EncodedBlock], run_id: str
    ) -> CallResult:
        """Write one partition from vectors in the object store; its number of tiles."""
        with self._meter.work():
            tiles = self._write(CommitOrder(plan, encoder, pieces), run_id)
        return self._meter.result(tiles)

    def commit_all(self, orders: Sequence[CommitOrder], run_id: str) -> CallResult:
        """Write several small partitions; the number of tiles of each."""
        with self._meter.work():
            refs = list({piece.ref: None for order in orders for piece in order.pieces})
            arrays = dict(zip(refs, ray.get(refs), strict=True))
            self._open_store()
            with ThreadPoolExecutor(min(WRITES, len(orders))) as threads:
                tiles = list(threads.map(lambda order: self._write(order, run_id, arrays), orders))
        return self._meter.result(tiles)

    def _open_store(self) -> Store:
        if self._store is None:
            self._store = open_store(self._settings.store)
        return self._store

    def _write(
        self, order: CommitOrder, run_id: str, arrays: Mapping[Any, Floats] | None = None
    ) -> int:
        """Write one partition; its number of tiles."""
        facts = partition_facts(order.plan, order.encoder, run_id)
        store = self._open_store()
        keep_measures(store.root, order.plan, self._settings.replace_changed)
        receipt = store.commit(
            facts.key,
            facts,
            _rows(order.plan, order.pieces, arrays or {}),
            format=self._settings.format,
            replace=self._settings.replace_changed,
        )
        return receipt.tile_count

    def _fetch(self, sent: Subject | SharedSubject) -> Subject:
        if not isinstance(sent, SharedSubject):
            return sent
        if sent.slide_id not in self._fetched:
            self._fetched[sent.slide_id] = ray.get(sent.ref)
        return self._fetched[sent.slide_id]


def _rows(
    plan: SubjectPlan, pieces: Sequence[EncodedBlock], arrays: Mapping[Any, Floats]
) -> Iterator[TileRows]:
    """Rows of a partition, in order; vectors that are not in `arrays` are fetched one by one."""
    grid = plan.grid
    for piece in sorted(pieces, key=lambda piece: piece.start):
        vectors = arrays[piece.ref] if piece.ref in arrays else ray.get(piece.ref)
        vectors = vectors[piece.rows]
        here = slice(piece.start, piece.start + len(vectors))
        texts = {name: values[here] for name, values in plan.texts.items()}
        yield TileRows(grid.coords[here], grid.tissue[here], piece.focus, vectors, texts)


class EncoderWorker:
    """All encoders of a run on one device, so that a batch of pixels is moved there once."""

    def __init__(
        self, config: RunSettings, specs: Sequence[EncoderSpec], plan: EncoderPlan
    ) -> None:
        self._config = config
        self._specs = specs
        self._plan = plan
        self._encoders: dict[str, BatchLadder] = {}
        self._facts: dict[str, EncoderFacts] = {}
        self._loading = threading.Lock()
        self._loading_s = 0.0
        self._meter = Meter()

    def load(self) -> list[EncoderFacts]:
        """Load the encoders; the parts of receipts on them, in the order asked for.

        Raises:
            ConfigError: Weights that cannot be had, a broken tile contract, or a device or
                precision that the plan asks for and this process cannot give.
            DeviceError: The GPU failed; this process is of no more use.
        """
        began = time.monotonic()
        loaded = load_ladders(self._config, self._specs, self._plan)
        self._loading_s = time.monotonic() - began
        self._encoders = {about.name: encoder for encoder, about in loaded}
        self._facts = {about.name: about for _, about in loaded}
        return list(self._facts.values())

    def node(self) -> str:
        """Node that this process runs on."""
        return node_id()

    def started(self) -> tuple[str, float]:
        """Node that it runs on, and the seconds that it took to load its encoders."""
        return node_id(), self._loading_s

    def ready(self) -> tuple[str, dict[str, EncoderFacts]]:
        """Node that it runs on, and its encoders, which are loaded now if not before."""
        return node_id(), self._loaded()

    def _loaded(self) -> dict[str, EncoderFacts]:
        """Facts of the encoders, which are loaded if this process is new."""
        with self._loading:
            if not self._facts:
                self.load()
            return self._facts

    def encode(
        self,
        names: Sequence[str],
        batch_size: int,
        rows: Sequence[slice],
        *pixels: npt.NDArray[np.uint8],
    ) -> tuple[Floats | EncodeResult, ...]:
        """Encode blocks of tiles, of one slide or several, as one batch or as several.

        Args:
            names: Which encoders.
            batch_size: The fixed batch shape.
            rows: The tiles of each block that are to be encoded, n of each.
            pixels: Blocks, (at least n, tile_px, tile_px, 3) uint8 each.

        Returns:
            For each encoder the (sum of n, D) vectors; last, for each encoder the
            (sum of n,) bool of vectors that are not finite.

        Raises:
            DeviceMemoryError: Not even one tile at a time fits into the GPU's memory.
            DeviceError: The GPU failed; this process is of no more use.
        """
        self._loaded()  # this process may have taken the place of one that died
        parts = [block[own] for block, own in zip(pixels, rows, strict=True)]
        with self._meter.work():
            encoded = [
                self._encode_batch(names, batch_size, batch)
                for batch in split_blocks(parts, batch_size)
            ]
            joined = [_join(of_encoder) for of_encoder in zip(*encoded, strict=True)]
        device_s = sum(encoder.device_s for encoder in self._encoders.values())
        result = self._meter.result([bad for _, bad in joined], device_s)
        limit = smallest_limit(self._encoders.values())
        return *(vectors for vectors, _ in joined), EncodeResult(*result, limit)

    def _encode_batch(
        self, names: Sequence[str], batch_size: int, batch: Sequence[npt.NDArray[np.uint8]]
    ) -> list[Encoded]:
        """One batch with all encoders: on a GPU it is there once, and not longer than needed."""
        tiles, dtype = TilePass(batch), self._config.dtype
        return [self._encoders[name].encode(tiles, batch_size, dtype) for name in names]


def _join(parts: Sequence[Encoded]) -> Encoded:
    """Vectors of one encoder from those of its batches."""
    if len(parts) == 1:
        return parts[0]
    vectors, bad = zip(*parts, strict=True)
    return np.concatenate(vectors), np.concatenate(bad)
