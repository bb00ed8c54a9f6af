"""Sheet of chosen tiles with their numbers: those that score highest, and lowest. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histo_ray.report.charts.canvas import (
    FAINT,
    INK,
    PANEL,
    RULE,
    Colour,
    Picture,
    blank,
    frame,
    paste,
    shorten,
    text_width,
    wrap,
    write_text,
)
from histo_ray.report.slides.similar import fit_tile

_MARGIN, _GAP, _STRIPE = 16, 10, 5
_CAPTION_PX = 38


@dataclass(frozen=True)
class SheetTile:
    """One tile of a sheet."""

    pixels: Picture | None
    """(height, width, 3) RGB; None: could not be read."""
    number: str
    """What is written first below it: its score."""
    place: str
    """And then: which tile it is."""
    colour: Colour
    """Colour of its score, as on the heat map."""


@dataclass(frozen=True)
class SheetRows:
    """Tiles under a heading of their own."""

    heading: str
    tiles: Sequence[SheetTile]


def draw_tile_sheet(
    parts: Sequence[SheetRows], title: str, note: str = "", columns: int = 6, tile_px: int = 128
) -> Picture:
    """Draw tiles below each other, part by part, each with its score and its place.

    Args:
        parts: Headings and their tiles; parts without tiles are left out.
        title: First line of the page.
        note: Below the title, up to three lines.
        columns: Tiles beside each other.
        tile_px: Longer edge of a tile on the page.

    Returns:
        (height, width, 3) RGB; its width does not depend on the number of tiles.
    """
    parts = [part for part in parts if part.tiles]
    step, row_px = tile_px + _GAP, tile_px + _STRIPE + _CAPTION_PX
    width = 2 * _MARGIN + columns * step - _GAP
    lines = wrap(note, 13, width - 2 * _MARGIN, 3) if note else []
    head = 48 + 19 * len(lines)
    rows = [-(-len(part.tiles) // columns) for part in parts]
    page = blank(width, head + sum(28 + row_px * count for count in rows) + _MARGIN // 2)
    write_text(page, (_MARGIN, 14), shorten(title, 20, width - 2 * _MARGIN, "ends"), 20)
    for number, line in enumerate(lines):
        write_text(page, (_MARGIN, 42 + 19 * number), line, 13, FAINT)
    top = head
    for part, count in zip(parts, rows, strict=True):
        write_text(page, (_MARGIN, top), shorten(part.heading, 15, width - 2 * _MARGIN), 15, INK)
        for at, tile in enumerate(part.tiles):
            row, column = divmod(at, columns)
            paste(
                page,
                _draw_tile(tile, tile_px),
                (_MARGIN + column * step, top + 26 + row * row_px),
            )
        top += 28 + row_px * count
    return page


def _draw_tile(tile: SheetTile, tile_px: int) -> Picture:
    """One tile on a stripe of its score's colour, with two lines below."""
    card = blank(tile_px, tile_px + _STRIPE + _CAPTION_PX - 4)
    if tile.pixels is None:
        card[:tile_px] = PANEL
        frame(card, (0, 0, tile_px, tile_px), RULE)
        text = shorten("no pixels", 13, tile_px)
        write_text(
            card, ((tile_px - text_width(text, 13)) // 2, tile_px // 2 - 10), text, 13, FAINT
        )
    else:
        fitted = fit_tile(tile.pixels, tile_px)
        high, wide = fitted.shape[:2]
        paste(card, fitted, ((tile_px - wide) // 2, (tile_px - high) // 2))
    card[tile_px : tile_px + _STRIPE] = np.array(tile.colour, np.uint8)
    for number, (line, ink) in enumerate(((tile.number, INK), (tile.place, FAINT))):
        text = shorten(line, 12, tile_px, "ends")
        at = ((tile_px - text_width(text, 12)) // 2, tile_px + _STRIPE + 2 + 15 * number)
        write_text(card, at, text, 12, ink)
    return card
