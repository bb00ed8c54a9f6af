"""Heat map: one number a tile, in colour on the slide's overview. Pure."""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.report.canvas import (
    FAINT,
    INK,
    RULE,
    Picture,
    blank,
    frame,
    paste,
    shorten,
    text_width,
    write_text,
)
from histo_ray.report.preview import enlarge_small, framed, tile_boxes
from histo_ray.types import TileGrid

SPREAD = (2.0, 98.0)
"""Percentiles of the finite values at the two ends of the colour map."""
_STRENGTH = 0.72
_LEGEND_PX = 44


def draw_tile_heatmap(
    image: Picture,
    downsample: tuple[float, float],
    grid: TileGrid,
    values: npt.ArrayLike,
    label: str,
    title: str = "",
) -> Picture:
    """Colour each tile by its value (viridis), with a legend.

    Args:
        image: (height, width, 3) RGB overview of the whole slide.
        downsample: Level-0 px per px of `image`, (x, y).
        grid: The tiles.
        values: (N,) one number a tile; tiles without a finite number are left uncoloured.
        label: Name of the numbers.
        title: First line; the slide's id if empty.

    Returns:
        (height, width, 3) RGB.
    """
    image, downsample = enlarge_small(image, downsample)
    numbers = np.asarray(values, np.float64)
    low, high = value_range(numbers)
    boxes = tile_boxes(grid, downsample, image.shape)
    picture = _tint(image, boxes, colour_values(numbers, low, high), np.isfinite(numbers))
    missing = int((~np.isfinite(numbers)).sum())
    caption = f"{label}  ·  {len(grid):,} tiles"
    caption += f", {missing:,} without a value" if missing else ""
    page = framed(picture, title or grid.slide_id, caption)
    legend = _draw_legend(page.shape[1] - 32, low, high, label)
    whole = blank(page.shape[1], page.shape[0] + _LEGEND_PX)
    paste(whole, page, (0, 0))
    paste(whole, legend, (16, page.shape[0] - 8))
    return whole


def _tint(
    image: Picture,
    boxes: npt.NDArray[np.int32],
    colours: Picture,
    shown: npt.NDArray[np.bool_],
) -> Picture:
    """Copy `image` in pale grey, with the boxes that are `shown` in their colours."""
    grey = image.mean(axis=2, keepdims=True)
    picture: npt.NDArray[np.float64] = 0.45 * grey + 0.55 * 255 * np.ones(3)
    layer, covered = np.zeros_like(image), np.zeros(image.shape[:2], bool)
    for spread in (1, 0):  # first a little too large, so that rounding leaves no gaps
        for (left, top, right, bottom), colour in zip(boxes[shown], colours[shown], strict=True):
            layer[top : bottom + spread, left : right + spread] = colour
            covered[top : bottom + spread, left : right + spread] = True
    strength = np.where(covered, _STRENGTH, 0)[..., None]
    tinted: Picture = (picture * (1 - strength) + layer * strength + 0.5).astype(np.uint8)
    return tinted


def value_range(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Find the values at the two ends of the colour map; (0, 1) if none is finite."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, SPREAD)
    return float(low), float(high)


def colour_values(values: npt.NDArray[np.float64], low: float, high: float) -> Picture:
    """Colour each value, (N, 3) RGB; values beyond the ends take the end's colour."""
    span = high - low
    inside = np.clip(np.where(np.isnan(values), low, values), low, high)
    share = (inside - low) / span if span > 0 else np.full(len(values), 0.5)
    steps = (share * 255 + 0.5).astype(np.uint8)
    if not len(steps):
        return np.empty((0, 3), np.uint8)
    bgr = cv2.applyColorMap(steps[:, None], cv2.COLORMAP_VIRIDIS)
    return bgr[:, 0, ::-1].astype(np.uint8)


def _draw_legend(width: int, low: float, high: float, label: str) -> Picture:
    """Draw a colour bar with the values at its ends and the label in the middle."""
    legend = blank(width, _LEGEND_PX - 4)
    bar = colour_values(np.linspace(0, 1, width), 0, 1)
    soft = 255 * (1 - _STRENGTH) + bar * _STRENGTH
    legend[2:16] = soft.astype(np.uint8)
    frame(legend, (0, 2, width, 16), RULE)
    ends = [f"{number:.3g}" for number in (low, high)]
    write_text(legend, (0, 19), ends[0], 13, INK)
    write_text(legend, (width - text_width(ends[1], 13), 19), ends[1], 13, INK)
    room = width - 2 * max(text_width(end, 13) for end in ends) - 32
    middle = shorten(label, 13, max(room, 0))
    write_text(legend, ((width - text_width(middle, 13)) // 2, 19), middle, 13, FAINT)
    return legend
