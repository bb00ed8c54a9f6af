"""Picture of a tile and the tiles most like it, one row an encoder. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.report.charts.canvas import (
    FAINT,
    GRID,
    INK,
    Picture,
    blank,
    frame,
    paste,
    shorten,
    text_width,
    write_text,
)

_GAP = 10
_MARGIN = 16
_HEAD = 56


@dataclass(frozen=True)
class Neighbours:
    """The tiles nearest to a query tile, by one encoder."""

    encoder: str
    tiles: npt.NDArray[np.uint8]
    """(k, height, width, 3) RGB, nearest first."""
    cosines: npt.NDArray[np.floating]
    """(k,) cosine similarity to the query."""
    captions: tuple[str, ...] = ()
    """(k,) origin of each tile; may be left out."""


def draw_neighbours(
    query: Picture, found: Sequence[Neighbours], title: str, tile_px: int = 128
) -> Picture:
    """Draw the query tile at the left of each row and its nearest tiles beside it.

    Args:
        query: (height, width, 3) RGB tile.
        found: One row each; rows may differ in length.
        title: First line of the page.
        tile_px: Longer edge of a tile on the page.

    Returns:
        (height, width, 3) RGB.
    """
    most = max((len(row.tiles) for row in found), default=0)
    step = tile_px + _GAP
    row_px = 26 + tile_px + 44
    width = 2 * _MARGIN + step + _GAP + max(most, 2) * step
    page = blank(width, _HEAD + len(found) * row_px + _MARGIN // 2)
    write_text(page, (_MARGIN, 14), shorten(title, 20, width - 2 * _MARGIN), 20)
    for number, row in enumerate(found):
        top = _HEAD + number * row_px
        name = shorten(row.encoder, 15, width - 2 * _MARGIN, "ends")
        write_text(page, (_MARGIN, top), name, 15, INK)
        _draw_row(page, query, row, top + 26, tile_px)
    return page


def _draw_row(page: Picture, query: Picture, row: Neighbours, top: int, tile_px: int) -> None:
    step = tile_px + _GAP
    first = fit_tile(query, tile_px)
    height, width = first.shape[:2]
    paste(page, first, (_MARGIN, top))
    box = (_MARGIN - 3, top - 3, _MARGIN + width + 3, top + height + 3)
    frame(page, box, GRID, 3)
    _write_centred(page, _MARGIN, top + tile_px + 4, tile_px, ("query", ""))
    captions = row.captions or ("",) * len(row.tiles)
    found = zip(row.tiles, row.cosines, captions, strict=True)
    for place, (tile, cosine, caption) in enumerate(found, start=1):
        left = _MARGIN + _GAP + place * step
        paste(page, fit_tile(tile, tile_px), (left, top))
        _write_centred(page, left, top + tile_px + 4, tile_px, (f"{cosine:.3f}", caption))


def _write_centred(page: Picture, left: int, top: int, width: int, lines: tuple[str, str]) -> None:
    for number, (line, colour) in enumerate(zip(lines, (INK, FAINT), strict=True)):
        text = shorten(line, 12, width, "ends")
        x = left + (width - text_width(text, 12)) // 2
        write_text(page, (x, top + 16 * number), text, 12, colour)


def fit_tile(tile: Picture, tile_px: int) -> Picture:
    """Resize `tile` so that its longer edge is `tile_px` long."""
    height, width = tile.shape[:2]
    scale = tile_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(tile, size, interpolation=shrink).astype(np.uint8, copy=False)
