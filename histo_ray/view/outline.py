"""Outline of the tissue of a slide, as lines."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.config import TilingConfig, parse_settings, tissue_kind
from histo_ray.errors import ConfigError, SlideError
from histo_ray.slides.reader import OpenedSlide
from histo_ray.tiles.pixels import locate_tissue
from histo_ray.types import JsonObject
from histo_ray.view.tile_raster import lay_raster
from histo_ray.view.viewed_store import ViewedSlide

Lines = list[list[float]]


class Outline(NamedTuple):
    """Closed lines around tissue, level-0 px."""

    xs: Lines
    ys: Lines
    note: str
    """What is outlined."""


def trace_mask(
    mask: npt.NDArray[np.bool_],
    cell: tuple[float, float],
    corner: tuple[float, float] = (0.0, 0.0),
) -> tuple[Lines, Lines]:
    """Trace the edges of a mask's regions and holes. Pure.

    Args:
        mask: (height, width).
        cell: (width, height) of a mask px, level-0 px.
        corner: (x, y) of the mask's top-left corner, level-0 px.

    Returns:
        x and y of each closed line, level-0 px, through the outer edge of its pixels.
    """
    twice = np.kron(np.pad(mask, 1), np.ones((2, 2), np.uint8)).astype(np.uint8)
    found, _ = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    xs, ys = list[list[float]](), list[list[float]]()
    for line in found:
        places = (line[:, 0, :].astype(float) + 0.5) / 2 - 1
        places = np.concatenate([places, places[:1]])
        xs.append((corner[0] + places[:, 0] * cell[0]).tolist())
        ys.append((corner[1] + places[:, 1] * cell[1]).tolist())
    return xs, ys


def outline_slide(slide: ViewedSlide, opened: OpenedSlide) -> Outline:
    """Outline the tissue that tiles were taken from, found again as the extraction found it.

    Raises:
        SlideError: The slide cannot be read, or its tissue not be found again.
    """
    try:
        tiling = parse_settings(TilingConfig, _known(slide.receipt.tiling.settings), "tiling")
        if tissue_kind(tiling.tissue) == "segmenter":  # code that a store names is not run
            return outline_tiles(slide)
        mask, _, _ = locate_tissue(opened, tiling)
    except ConfigError as error:
        raise SlideError(slide.slide_id, str(error)) from None
    if mask is None:
        return outline_tiles(slide)
    xs, ys = trace_mask(mask.pixels, mask.downsample)
    return Outline(xs, ys, f"tissue, {mask.tissue_share:.1%} of the slide")


def outline_tiles(slide: ViewedSlide) -> Outline:
    """Outline the tiles of a slide, where its tissue cannot be had."""
    raster = lay_raster(slide.coords, slide.side)
    xs, ys = trace_mask(raster.tiles >= 0, raster.cell, raster.corner)
    return Outline(xs, ys, "the area that tiles cover")


def _known(settings: JsonObject) -> JsonObject:
    return {name: value for name, value in settings.items() if name in TilingConfig.model_fields}
