"""A slide's overview with the tiles that a condition keeps and those that it drops."""

import numpy as np
import numpy.typing as npt

from histo_ray.report.charts.canvas import BAD, GRID, Colour, Picture, draw_scale_bar, frame
from histo_ray.report.slides.preview import enlarge_small, framed, tile_boxes
from histo_ray.report.slides.slide_pixels import SlidePixels
from histo_ray.types import Receipt, TileGrid

_FILL = {True: 0.12, False: 0.38}
_LINE = 0.85
_LEAST_LINED_PX = 5


def draw_kept(
    pixels: SlidePixels,
    receipt: Receipt,
    coords: npt.NDArray[np.int32],
    kept: npt.NDArray[np.bool_],
    where: str,
) -> Picture:
    """Draw which tiles of a slide are kept (blue) and which are dropped (red).

    Args:
        pixels: Overview of the slide; plain where it cannot be read.
        receipt: Of the whole partition.
        coords: (N, 2) top-left (x, y) of its tiles, level-0 px.
        kept: (N,) whether each is kept.
        where: The condition, for the caption.

    Returns:
        (height, width, 3) RGB.
    """
    image, downsample = enlarge_small(pixels.overview, pixels.downsample)
    picture = image.copy()
    for state, colour in ((True, GRID), (False, BAD)):
        some = coords[kept == state]
        grid = TileGrid(
            receipt.slide.slide_id, some, np.ones(len(some), np.float32), receipt.tiling.side
        )
        _tint(picture, tile_boxes(grid, downsample, picture.shape), colour, _FILL[state])
    height, width = picture.shape[:2]
    if receipt.slide.mpp[0]:
        draw_scale_bar(picture, downsample[0] * receipt.slide.mpp[0], (0, 0, width, height))
    dropped = int((~kept).sum())
    caption = (
        f"kept by {where} (blue): {len(kept) - dropped:,} of {len(kept):,} tiles  ·  "
        f"dropped (red): {dropped:,} ({dropped / max(1, len(kept)):.1%})"
    )
    if pixels.problem:
        caption += f"  ·  no slide behind the tiles: {pixels.problem}"
    return framed(picture, receipt.slide.slide_id, caption)


def _tint(picture: Picture, boxes: npt.NDArray[np.int32], colour: Colour, strength: float) -> None:
    """Tint tiles and line their borders where they are large enough."""
    filled = np.zeros(picture.shape[:2], np.float32)
    for left, top, right, bottom in boxes.tolist():
        filled[top:bottom, left:right] = strength
    for box in boxes.tolist():
        if min(box[2] - box[0], box[3] - box[1]) >= _LEAST_LINED_PX:
            frame(filled, box, _LINE)
    share = filled[..., None]
    picture[:] = (picture * (1 - share) + np.array(colour) * share + 0.5).astype(np.uint8)
