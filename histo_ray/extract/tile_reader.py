"""Reading the tiles of a run's subjects in one process: slides here, tile sets in `tileset`."""

from collections import OrderedDict
from typing import Any, Protocol

from histo_ray.config import ExtractConfig
from histo_ray.errors import SlideError
from histo_ray.extract.slide import (
    TileBlock,
    TilePlan,
    open_manifest_slide,
    plan_slide,
    read_block,
    slide_cache,
)
from histo_ray.slides.reader import OpenedSlide
from histo_ray.types import Slide

OPEN_SLIDES = 3
"""Slides that a reader keeps open: file handles and decoder caches stay bounded."""
TOO_MUCH_MEMORY = "needs more memory than there is, or states a size that is made up"


class TileReader(Protocol):
    """Plans the subjects of a run and reads their tiles.

    A subject that cannot be used raises `SlideError`; anything else ends the run.
    """

    def plan(self, subject: Any) -> TilePlan:
        """Find the tiles of one subject."""

    def read(self, subject: Any, plan: TilePlan, span: range) -> TileBlock:
        """Read the tiles of `span` (tile_ids)."""

    def close(self) -> None:
        """Close what is open."""


class SlideTileReader:
    """Reads slides; the last `OPEN_SLIDES` stay open."""

    def __init__(self, config: ExtractConfig) -> None:
        self._config = config
        self._open: OrderedDict[str, OpenedSlide] = OrderedDict()

    def plan(self, subject: Slide) -> TilePlan:
        """Find the tissue of a slide and lay its grid.

        Raises:
            SlideError: The slide cannot be used.
        """
        try:
            return plan_slide(self._opened(subject), subject, self._config.tiling)
        except MemoryError as error:
            raise SlideError(subject.slide_id, f"{TOO_MUCH_MEMORY} ({error})") from None

    def read(self, subject: Slide, plan: TilePlan, span: range) -> TileBlock:
        """Read the tiles of `span` (tile_ids).

        Raises:
            SlideError: The file cannot be read there.
        """
        try:
            return read_block(self._opened(subject), plan, self._config.tile_px, span)
        except MemoryError as error:
            raise SlideError(subject.slide_id, f"{TOO_MUCH_MEMORY} ({error})") from None

    def close(self) -> None:
        """Close all slides."""
        while self._open:
            self._open.popitem()[1].close()

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
