"""Heat map: one number a tile, in colour on the slide's overview. Pure."""

import numpy as np
import numpy.typing as npt

from histo_ray.report.charts.canvas import (
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
from histo_ray.report.charts.colour_scale import ColourScale, fit_scale
from histo_ray.report.slides.preview import enlarge_small, framed, tile_boxes
from histo_ray.types import TileGrid

_STRENGTH = 0.72
_LEGEND_PX = 44


def draw_tile_heatmap(
    image: Picture,
    downsample: tuple[float, float],
    grid: TileGrid,
    values: npt.ArrayLike,
    label: str,
    title: str = "",
    scale: ColourScale | None = None,
    note: str = "",
) -> Picture:
    """Colour each tile by its value, at its true place and size, with a colour bar.

    Args:
        image: (height, width, 3) RGB overview of the whole slide.
        downsample: Level-0 px per px of `image`, (x, y).
        grid: The tiles.
        values: (N,) one number a tile; tiles without a finite number are left uncoloured.
        label: Name of the numbers.
        title: First line; the slide's id if empty.
        scale: Colours; None: viridis between the values' 2 % and 98 % percentiles.
        note: Added to the caption.

    Returns:
        (height, width, 3) RGB.
    """
    image, downsample = enlarge_small(image, downsample)
    numbers = np.asarray(values, np.float64)
    scale = scale or fit_scale(numbers)
    boxes = tile_boxes(grid, downsample, image.shape)
    picture = tint_tiles(image, boxes, scale.colour(numbers), np.isfinite(numbers))
    missing = int((~np.isfinite(numbers)).sum())
    caption = f"{label}  ·  {len(grid):,} tiles"
    caption += f", {missing:,} without a value" if missing else ""
    caption += f"  ·  {note}" if note else ""
    page = framed(picture, title or grid.slide_id, caption)
    legend = _draw_legend(page.shape[1] - 32, scale, label)
    whole = blank(page.shape[1], page.shape[0] + _LEGEND_PX)
    paste(whole, page, (0, 0))
    paste(whole, legend, (16, page.shape[0] - 8))
    return whole


def tint_tiles(
    image: Picture,
    boxes: npt.NDArray[np.int32],
    colours: Picture,
    shown: npt.NDArray[np.bool_],
) -> Picture:
    """Copy `image` in pale grey, with tiles in their colours.

    Args:
        image: (height, width, 3) RGB.
        boxes: (N, 4) left, top, right, bottom in px of `image`; right and bottom lie outside.
        colours: (N, 3) RGB.
        shown: (N,) which boxes are drawn.
    """
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


def soften(colours: Picture) -> Picture:
    """Colours as `tint_tiles` shows them on glass, for legends; any shape that ends in 3."""
    return (255 * (1 - _STRENGTH) + colours * _STRENGTH).astype(np.uint8)


def name_ends(scale: ColourScale) -> tuple[str, str]:
    """Names of the ends of a colour bar: `<= x`, `>= y` where values lie beyond them."""
    low, high = f"{scale.low:.3g}", f"{scale.high:.3g}"
    return f"<= {low}" if scale.below else low, f">= {high}" if scale.above else high


def _draw_legend(width: int, scale: ColourScale, label: str) -> Picture:
    """Draw a colour bar with its values below; in the middle the neutral one, or else the label."""
    legend = blank(width, _LEGEND_PX - 4)
    legend[2:16] = soften(scale.colour(np.linspace(scale.low, scale.high, width)))
    frame(legend, (0, 2, width, 16), RULE)
    low, high = name_ends(scale)
    write_text(legend, (0, 19), low, 13, INK)
    write_text(legend, (width - text_width(high, 13), 19), high, 13, INK)
    room = width - 2 * max(text_width(end, 13) for end in (low, high)) - 32
    middle, colour = shorten(label, 13, max(room, 0)), FAINT
    if scale.centre is not None:
        middle, colour = f"{scale.centre:.3g}", INK
        middle += f": {scale.neutral}" if scale.neutral else ""
        legend[12:19, width // 2] = INK
    write_text(legend, ((width - text_width(middle, 13)) // 2, 19), middle, 13, colour)
    return legend
