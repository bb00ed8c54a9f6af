"""Class map: the class of each tile of a slide, in colour on its overview. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.report.charts.canvas import (
    INK,
    RULE,
    Colour,
    Picture,
    blank,
    frame,
    paste,
    shorten,
    text_width,
    write_text,
)
from histo_ray.report.slides.heatmap import soften, tint_tiles
from histo_ray.report.slides.preview import enlarge_small, framed, tile_boxes
from histo_ray.types import TileGrid

CLASS_COLOURS: tuple[Colour, ...] = (
    (204, 102, 119), (51, 34, 136), (221, 204, 119), (17, 119, 51), (136, 204, 238),
    (136, 34, 85), (68, 170, 153), (153, 153, 51), (170, 68, 153), (230, 159, 0),
    (0, 0, 0), (150, 150, 150),
)  # fmt: skip
"""Tol 2021, Colour Schemes (SRON/EPS/TN/09-002), "muted", then an orange, black and grey; colours
repeat after these."""
_ROW_PX = 24
_GAP = 18


def colour_classes(count: int) -> Picture:
    """Colours of K classes in their order, (K, 3) RGB."""
    return np.array([CLASS_COLOURS[n % len(CLASS_COLOURS)] for n in range(count)], np.uint8)


def count_shares(numbers: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.float64]:
    """Share of the tiles that is of each class, (K,); 0 without tiles."""
    return np.bincount(numbers, minlength=count) / max(len(numbers), 1)


def draw_class_map(
    image: Picture,
    downsample: tuple[float, float],
    grid: TileGrid,
    numbers: npt.NDArray[np.integer],
    classes: Sequence[str],
    label: str,
    title: str = "",
) -> Picture:
    """Colour each tile by its class, with a legend that states the share of each.

    Args:
        image: (height, width, 3) RGB overview of the whole slide.
        downsample: Level-0 px per px of `image`, (x, y).
        grid: N tiles.
        numbers: (N,) class of each tile, 0..K-1.
        classes: (K,) their names.
        label: Added to the caption, as whose head it is.
        title: First line; the slide's id if empty.

    Returns:
        (height, width, 3) RGB.
    """
    image, downsample = enlarge_small(image, downsample)
    boxes = tile_boxes(grid, downsample, image.shape)
    colours = colour_classes(len(classes))
    picture = tint_tiles(image, boxes, colours[numbers], np.ones(len(grid), bool))
    page = framed(picture, title or grid.slide_id, f"{label}  ·  {len(grid):,} tiles")
    legend = _draw_legend(page.shape[1] - 32, classes, count_shares(numbers, len(classes)))
    whole = blank(page.shape[1], page.shape[0] + legend.shape[0])
    paste(whole, page, (0, 0))
    paste(whole, legend, (16, page.shape[0] - 8))
    return whole


def _draw_legend(width: int, classes: Sequence[str], shares: npt.NDArray[np.float64]) -> Picture:
    """Draw a swatch, name and share of each class, in as many rows as they take."""
    texts = [
        shorten(f"{name}  {share:.1%}", 13, width - 32)
        for name, share in zip(classes, shares, strict=True)
    ]
    places, row, left = [], 0, 0
    for text in texts:
        wide = 20 + text_width(text, 13) + _GAP
        if left and left + wide - _GAP > width:
            row, left = row + 1, 0
        places.append((left, row * _ROW_PX))
        left += wide
    legend = blank(width, (row + 1) * _ROW_PX + 8)
    swatches = soften(colour_classes(len(classes)))
    for text, (x, y), colour in zip(texts, places, swatches, strict=True):
        legend[y + 3 : y + 17, x : x + 14] = colour
        frame(legend, (x, y + 3, x + 14, y + 17), RULE)
        write_text(legend, (x + 20, y), text, 13, INK)
    return legend
