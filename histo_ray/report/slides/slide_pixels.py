"""Pixels of an extracted slide: its overview and some tiles, or why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.errors import SlideError
from histo_ray.report.charts.canvas import PANEL, Picture, blank
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import OpenedSlide
from histo_ray.slides.stored_slide import open_stored_slide
from histo_ray.tiles.pixels import read_batch, read_overview
from histo_ray.types import Receipt, Slide, TileGrid

OVERVIEW_PX = 1200
"""Longest side of an overview."""
TILE_PX = 224
"""Edge of a pictured tile where nothing states one."""


@dataclass(frozen=True)
class SlidePixels:
    """What can be seen of a slide."""

    overview: Picture
    """(height, width, 3) RGB; plain where the slide cannot be read."""
    downsample: tuple[float, float]
    """Level-0 px per px of the overview, (x, y)."""
    tiles: Mapping[int, Picture]
    """By tile_id, those that were asked for and could be read."""
    problem: str = ""
    """Why the slide cannot be read; empty if it can."""


def read_slide_pixels(
    receipt: Receipt,
    coords: npt.NDArray[np.int32],
    chosen: Sequence[int],
    moved: Slide | None = None,
    longest_px: int = OVERVIEW_PX,
) -> SlidePixels:
    """Read a slide's overview and some of its tiles, as they were extracted but for their stain.

    Args:
        receipt: Of the slide.
        coords: (N, 2) top-left (x, y) of its tiles, level-0 px.
        chosen: tile_ids to read.
        moved: Where it lies now; None: where it was extracted from.
        longest_px: Longest side of the overview.
    """
    try:
        with open_stored_slide(receipt, moved) as opened:
            widest_um = max(n * mpp for n, mpp in zip(opened.size, opened.mpp, strict=True))
            image, downsample = read_overview(opened, max(*opened.mpp, widest_um / longest_px))
            return SlidePixels(
                image, downsample, _read_tiles(opened, receipt, coords, sorted(chosen))
            )
    except SlideError as error:
        size = receipt.slide.size_px
        if not min(size):  # imported, and nothing stated it: as far as the tiles reach
            size = _reach(coords, receipt.tiling.side)
        image, downsample = _draw_nothing(size, longest_px)
        return SlidePixels(image, downsample, {}, error.problem)


def _read_tiles(
    opened: OpenedSlide, receipt: Receipt, coords: npt.NDArray[np.int32], chosen: Sequence[int]
) -> dict[int, Picture]:
    settings = receipt.tiling.settings
    side = receipt.tiling.side
    tile_px = int(settings.get("tile_px") or min(TILE_PX, max(1, round(side[0]))))
    mpp = float(settings.get("mpp") or 0)
    if receipt.imported is not None or not mpp:  # what the tiles were asked for at may be unknown
        mpp = opened.mpp.x * side[0] / tile_px
    level = choose_level(opened.pyramid, mpp, tile_px)
    some = coords[list(chosen)]
    grid = TileGrid(opened.slide_id, some, np.ones(len(some), np.float32), receipt.tiling.side)
    batch = read_batch(opened, grid, level, tile_px, 0, len(some))
    return dict(zip(chosen, batch.pixels, strict=True))


def _reach(coords: npt.NDArray[np.int32], side: tuple[float, float]) -> tuple[int, int]:
    """(width, height) in level-0 px that hold all tiles."""
    far = coords.max(axis=0, initial=0) + np.ceil(side)
    return max(1, int(far[0])), max(1, int(far[1]))


def _draw_nothing(size: tuple[int, int], longest_px: int) -> tuple[Picture, tuple[float, float]]:
    """A plain overview of a slide that cannot be read."""
    scale = max(1.0, max(size) / longest_px)
    width, height = (max(1, round(side / scale)) for side in size)
    return blank(width, height, PANEL), (size[0] / width, size[1] / height)
