"""Actors: each holds one costly resource and forwards to plain functions.

They are ordinary classes. `pool` wraps them with Ray, tests call them directly. A bad slide is an
answer (`SlideFailure`), anything else ends the run. Each answer says what its process has spent
since the last one (`Answer`).
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
from threadpoolctl import threadpool_limits

from histo_ray.config import ExtractConfig, RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.errors import SlideError
from histo_ray.extract.meter import Answer, Meter
from histo_ray.extract.plan_slides import TOO_MUCH_MEMORY, draw_or_problem
from histo_ray.extract.slide import (
    SlidePlan,
    encode_block,
    load_run_encoders,
    open_manifest_slide,
    partition_facts,
    plan_slide,
    read_block,
    slide_cache,
)
from histo_ray.slides.reader import OpenedSlide
from histo_ray.store.store import Store, open_store
from histo_ray.types import EncoderFacts, Floats, Slide, TileRows

if TYPE_CHECKING:
    from histo_ray.encoders.torch_encoder import TorchEncoder

OPEN_SLIDES = 3
"""Slides a reader keeps open: file handles and decoder caches stay bounded."""


@dataclass(frozen=True)
class SlideFailure:
    """A slide's fate: it cannot be used, and why."""

    slide_id: str
    problem: str


@dataclass(frozen=True)
class Piece:
    """Vectors of one block inside the array that an encoder returned for a whole batch."""

    start: int
    """tile_id of the first vector."""
    ref: "ray.ObjectRef[Floats]"
    rows: slice
    """Which rows of the array."""
    focus: npt.NDArray[np.float32]


def node_id() -> str:
    """Ray's id of this machine; empty outside Ray."""
    return ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""


class Writer:
    """Writes partitions on one CPU. The part of a reader that does not ask what it reads."""

    needs: ClassVar[tuple[str, ...]] = ("pandas",)
    """Modules imported while encoders still load; otherwise the first partition waits for them
    (Arrow asks for pandas when it is given an array)."""

    def __init__(self, settings: RunSettings, niceness: int = 0) -> None:
        if niceness:
            os.nice(niceness)  # where cores are shared, encoding goes first
        for name in self.needs:
            import_module(name)
        pa.set_cpu_count(1)
        threadpool_limits(1)
        self._settings = settings
        self._store: Store | None = None
        self._meter = Meter()

    def node(self) -> str:
        """Where this process runs; returns once it has started."""
        return node_id()

    def ready(self) -> tuple[str, dict[str, str]]:
        """Where it runs; the second part is for encoders."""
        return node_id(), {}

    def commit(
        self, plan: SlidePlan, encoder: EncoderFacts, pieces: Sequence[Piece], run_id: str
    ) -> Answer:
        """Write one partition from vectors in the object store; the answer: how many tiles."""
        with self._meter.work():
            if self._store is None:
                self._store = open_store(self._settings.store)
            facts = partition_facts(plan, encoder, run_id)
            receipt = self._store.commit(
                facts.key,
                facts,
                _rows(plan, pieces),
                format=self._settings.format,
                replace=self._settings.replace_changed,
            )
        return self._meter.tell(receipt.tile_count)


class Reader(Writer):
    """Opens slides on one CPU: plans them, reads their tiles, writes their partitions."""

    needs = (*Writer.needs, "histo_ray.slides.direct.direct_opening", "scipy.sparse")

    def __init__(self, config: ExtractConfig, niceness: int = 0) -> None:
        super().__init__(config, niceness)
        self._config = config
        self._open: OrderedDict[str, OpenedSlide] = OrderedDict()

    def plan(self, slide: Slide) -> tuple[SlidePlan | None, Answer]:
        """Mask and grid of one slide, and what went wrong, if anything did."""
        with self._meter.work():
            try:
                plan = plan_slide(self._opened(slide), slide, self._config.tiling)
            except SlideError as error:
                return None, self._meter.tell(SlideFailure(slide.slide_id, error.problem))
            except MemoryError as error:
                problem = SlideFailure(slide.slide_id, f"{TOO_MUCH_MEMORY} ({error})")
                return None, self._meter.tell(problem)
        return plan, self._meter.tell(None)

    def draw(self, slide: Slide, folder: str) -> str:
        """Draw one slide's overview with tissue and tiles into `folder`; why not, if not."""
        return draw_or_problem(slide, self._config, folder)

    def read(
        self, slide: Slide, plan: SlidePlan, span: range
    ) -> tuple[npt.NDArray[np.uint8], Answer]:
        """Pixels of the tiles of `span`; the answer: their focus, or what went wrong."""
        with self._meter.work():
            try:
                opened = self._opened(slide)
                block = read_block(opened, plan, self._config.tile_px, span)
            except SlideError as error:
                problem = SlideFailure(slide.slide_id, error.problem)
                return np.empty((0, 0, 0, 3), np.uint8), self._meter.tell(problem)
            except MemoryError as error:
                problem = SlideFailure(slide.slide_id, f"{TOO_MUCH_MEMORY} ({error})")
                return np.empty((0, 0, 0, 3), np.uint8), self._meter.tell(problem)
        return block.pixels, self._meter.tell(block.focus)

    def _opened(self, slide: Slide) -> OpenedSlide:
        if slide.slide_id in self._open:
            self._open.move_to_end(slide.slide_id)
        else:
            while len(self._open) >= OPEN_SLIDES:
                self._open.popitem(last=False)[1].close()
            self._open[slide.slide_id] = open_manifest_slide(
                slide,
                self._config.slide_mpp,
                self._config.slide_reader,
                slide_cache(self._config),
            )
        return self._open[slide.slide_id]


def _rows(plan: SlidePlan, pieces: Sequence[Piece]) -> Iterator[TileRows]:
    grid = plan.grid
    for piece in sorted(pieces, key=lambda piece: piece.start):
        vectors = ray.get(piece.ref)[piece.rows]
        here = slice(piece.start, piece.start + len(vectors))
        texts = {name: values[here] for name, values in plan.texts.items()}
        yield TileRows(grid.coords[here], grid.tissue[here], piece.focus, vectors, texts)


class EncoderWorker:
    """All encoders of a run on one device, so that a batch of pixels is moved there once."""

    def __init__(self, config: RunSettings, specs: Sequence[EncoderSpec], threads: int) -> None:
        self._config = config
        self._specs = specs
        self._threads = threads
        self._encoders: dict[str, TorchEncoder] = {}
        self._weights: dict[str, str] = {}
        self._loading = threading.Lock()
        self._meter = Meter()

    def load(self) -> list[EncoderFacts]:
        """Load the encoders; what the receipts will say of them, in the order asked for.

        Raises:
            ConfigError: Weights that cannot be had, or a broken tile contract.
        """
        loaded = load_run_encoders(self._config, self._specs, self._threads)
        self._encoders = {about.name: encoder for encoder, about in loaded}
        facts = [about for _, about in loaded]
        self._weights = {about.name: about.weights_sha256 for about in facts}
        return facts

    def node(self) -> str:
        """Where this process runs."""
        return node_id()

    def ready(self) -> tuple[str, dict[str, str]]:
        """Load what is not loaded; where it runs, and the digests of its weights by encoder."""
        return node_id(), self._loaded()

    def _loaded(self) -> dict[str, str]:
        """Digests of the weights, which are loaded if this process is new."""
        with self._loading:
            if not self._weights:
                self.load()
            return self._weights

    def encode(
        self,
        names: Sequence[str],
        batch_size: int,
        rows: Sequence[slice],
        *pixels: npt.NDArray[np.uint8],
    ) -> tuple[Floats | Answer, ...]:
        """Encode blocks of tiles, of one slide or several, as one batch.

        Args:
            names: Which encoders.
            batch_size: The fixed batch shape.
            rows: The tiles of each block that are to be encoded, n of each.
            pixels: Blocks, (at least n, tile_px, tile_px, 3) uint8 each.

        Returns:
            For each encoder the (sum of n, D) vectors; last, the answer: for each encoder the
            (sum of n,) bool of vectors that are not finite.
        """
        self._loaded()  # this process may have taken the place of one that died
        with self._meter.work():
            parts = [block[own] for block, own in zip(pixels, rows, strict=True)]
            batch = parts[0] if len(parts) == 1 else np.concatenate(parts)
            encoded = [
                encode_block(self._encoders[name], batch, batch_size, self._config.dtype)
                for name in names
            ]
        device_s = sum(encoder.device_s for encoder in self._encoders.values())
        answer = self._meter.tell([bad for _, bad in encoded], device_s)
        return *(vectors for vectors, _ in encoded), answer
