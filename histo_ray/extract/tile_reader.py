"""Reading the tiles of a run's subjects in one process: slides here, tile sets in `tileset`."""

import threading
from collections import OrderedDict
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from histo_ray.config import ExtractConfig
from histo_ray.errors import SlideError
from histo_ray.extract.slide import (
    SubjectPlan,
    TileBlock,
    open_manifest_slide,
    plan_slide,
    read_block,
    slide_cache,
)
from histo_ray.extract.subject import TiledSlide, tiling_of
from histo_ray.slides.direct.cache import shared_cache
from histo_ray.slides.reader import OpenedSlide
from histo_ray.tiles.pixels import FoundTissue, locate_tissue
from histo_ray.types import Slide

Pixels = npt.NDArray[np.uint8]
"""(n, tile_px, tile_px, 3) RGB."""
OPEN_SLIDES = 3
"""Slides that a reader keeps open: file handles and decoder caches stay bounded."""
TOO_MUCH_MEMORY = "needs more memory than there is, or states a size that is made up"


class TileReader(Protocol):
    """Plans the subjects of a run and reads their tiles.

    A subject that cannot be used raises `SlideError`; anything else ends the run.
    """

    def plan(self, subject: Any) -> SubjectPlan:
        """Find the tiles of one subject."""

    def read(
        self, subject: Any, plan: SubjectPlan, span: range, into: Pixels | None = None
    ) -> TileBlock:
        """Read the tiles of `span` (tile_ids), into memory that is given if any is."""

    def close(self) -> None:
        """Close what is open."""


class SlideTileReader:
    """Reads slides; the last `OPEN_SLIDES` stay open.

    Threads may share one: several that read one slide, and one that plans the next.
    """

    def __init__(self, config: ExtractConfig) -> None:
        self._config = config
        self._open: OrderedDict[str, OpenedSlide] = OrderedDict()
        self._opening = threading.RLock()
        self._tissue: tuple[str, FoundTissue] | None = None
        self._tilings: set[str] = set()

    def plan(self, subject: Slide) -> SubjectPlan:
        """Find the tissue of a slide and lay its grid.

        Raises:
            SlideError: The slide cannot be used.
        """
        try:
            tiling = tiling_of(subject, self._config)
            return plan_slide(self._opened(subject), subject, tiling, self._find_tissue(subject))
        except MemoryError as error:
            raise SlideError(subject.slide_id, f"{TOO_MUCH_MEMORY} ({error})") from None

    def read(
        self, subject: Slide, plan: SubjectPlan, span: range, into: Pixels | None = None
    ) -> TileBlock:
        """Read the tiles of `span` (tile_ids), into memory that is given if any is.

        Raises:
            SlideError: The file cannot be read there.
        """
        try:
            opened = self._opened(subject)
            self._tilings.add(plan.tiling.fingerprint)
            shared_cache().walks = len(self._tilings)
            return read_block(opened, plan, plan.tiling.settings["tile_px"], span, into)
        except MemoryError as error:
            raise SlideError(subject.slide_id, f"{TOO_MUCH_MEMORY} ({error})") from None

    def _find_tissue(self, slide: Slide) -> FoundTissue | None:
        """Tissue of a slide that has several tilings: it is the same for all of them."""
        if not isinstance(slide, TiledSlide):
            return None
        if self._tissue is None or self._tissue[0] != slide.slide_id:
            found = locate_tissue(self._opened(slide), tiling_of(slide, self._config))
            self._tissue = slide.slide_id, found
        return self._tissue[1]

    def close(self) -> None:
        """Close all slides."""
        while self._open:
            self._open.popitem()[1].close()

    def _opened(self, slide: Slide) -> OpenedSlide:
        with self._opening:
            found = self._open.get(slide.slide_id)
            if found is not None:
                self._open.move_to_end(slide.slide_id)
                return found
            while len(self._open) >= OPEN_SLIDES:
                self._open.popitem(last=False)[1].close()
        opened = open_manifest_slide(  # others read meanwhile
            slide, self._config.slide_mpp, self._config.slide_reader, slide_cache(self._config)
        )
        with self._opening:
            kept = self._open.setdefault(slide.slide_id, opened)
        if kept is not opened:  # another thread was faster
            opened.close()
        return kept
