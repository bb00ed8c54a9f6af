"""Colours, type and strokes that all pictures share. Pure."""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
"""(height, width, 3) RGB."""
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
PANEL: Colour = (246, 247, 249)
INK: Colour = (28, 33, 40)
FAINT: Colour = (106, 115, 125)
RULE: Colour = (216, 221, 227)
OUTLINE: Colour = (0, 122, 116)
GRID: Colour = (44, 92, 197)
PEN: Colour = (214, 0, 190)
GOOD: Colour = (26, 127, 75)
PALE: Colour = (154, 103, 0)
BAD: Colour = (190, 38, 46)

_ROUND_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
_ELLIPSIS = "..."
_PLAIN = str.maketrans({"×": "x", "µ": "u", "μ": "u", "…": _ELLIPSIS})
"""Characters that the typeface lacks, and what is drawn in their place."""


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load Pillow's own typeface, so that pictures look alike on every machine."""
    return ImageFont.load_default(size)


def blank(width: int, height: int, colour: Colour = PAPER) -> Picture:
    """Make an empty picture, (height, width, 3)."""
    return np.full((height, width, 3), colour, np.uint8)


def text_width(text: str, size: int) -> int:
    """Width of one line of type, px."""
    return int(np.ceil(load_font(size).getlength(text.translate(_PLAIN))))


def shorten(text: str, size: int, width: int, keep: Literal["start", "ends"] = "start") -> str:
    """Set `text` on one line, cut with an ellipsis so that it fits into `width` px.

    Args:
        text: What to write; line breaks become spaces.
        size: Of the type, px.
        width: Room, px.
        keep: `start` cuts the end; `ends` cuts the middle, good for identifiers.

    Returns:
        A text no wider than `width`; empty if not even the ellipsis fits.
    """
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    for length in range(len(text) - 1, -1, -1):
        tail = length // 2 if keep == "ends" else 0
        cut = text[: length - tail].rstrip() + _ELLIPSIS + (text[-tail:] if tail else "")
        if text_width(cut, size) <= width:
            return cut
    return ""


def wrap(text: str, size: int, width: int, lines: int) -> list[str]:
    """Break `text` into at most `lines` lines of `width` px; the last may be shortened."""
    words = text.split()
    broken: list[str] = []
    while words and len(broken) < lines - 1:
        count = 1
        while count < len(words) and text_width(" ".join(words[: count + 1]), size) <= width:
            count += 1
        broken.append(shorten(" ".join(words[:count]), size, width))
        words = words[count:]
    if words:
        broken.append(shorten(" ".join(words), size, width))
    return broken


def write_text(
    picture: Picture, at: tuple[int, int], text: str, size: int, colour: Colour = INK
) -> None:
    """Write one line into `picture`; `at` is (x, y) of its upper left corner."""
    x, y = at
    room = picture[y : y + 2 * size, x : x + text_width(text, size) + 2]
    if not room.size:
        return
    page = Image.fromarray(np.ascontiguousarray(room))
    ImageDraw.Draw(page).text((0, 0), text.translate(_PLAIN), fill=colour, font=load_font(size))
    room[:] = np.asarray(page)


def paste(picture: Picture, piece: Picture, at: tuple[int, int]) -> None:
    """Put `piece` into `picture` with its upper left corner at (x, y); must fit."""
    x, y = at
    picture[y : y + piece.shape[0], x : x + piece.shape[1]] = piece


def frame(
    picture: npt.NDArray[np.generic], box: Sequence[int], colour: Colour | float, thick: int = 1
) -> None:
    """Draw a rectangle's border just inside box (left, top, right, bottom), far edges excluded."""
    left, top, right, bottom = box
    picture[top:bottom, left : left + thick] = colour
    picture[top:bottom, right - thick : right] = colour
    picture[top : top + thick, left:right] = colour
    picture[bottom - thick : bottom, left:right] = colour


def bar_length(um_per_px: float, room_px: float) -> tuple[float, str]:
    """Choose the longest round scale bar within `room_px`.

    Returns:
        Its length in um, and its label in um or mm.
    """
    fitting = [um for um in _ROUND_UM if um <= room_px * um_per_px]
    um = float(fitting[-1]) if fitting else room_px * um_per_px
    return um, f"{um / 1000:g} mm" if um >= 1000 else f"{um:.3g} um"


def draw_scale_bar(picture: Picture, um_per_px: float, room: tuple[int, int, int, int]) -> None:
    """Draw a scale bar with its label, on a light plate, at the lower left of box `room`."""
    left, top, right, bottom = room
    um, label = bar_length(um_per_px, 0.25 * (right - left))
    length = max(1, round(um / um_per_px))
    wide = max(length, text_width(label, 13)) + 16
    if wide + 12 > right - left or bottom - top < 46:
        return
    plate = picture[bottom - 40 : bottom - 8, left + 8 : left + 8 + wide]
    plate[:] = (0.2 * plate + 0.8 * np.array(PAPER)).astype(np.uint8)
    picture[bottom - 16 : bottom - 13, left + 16 : left + 16 + length] = INK
    write_text(picture, (left + 16, bottom - 37), label, 13)
