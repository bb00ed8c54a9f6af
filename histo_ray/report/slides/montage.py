"""Contact sheet of a run: every slide with its outcome, lost ones too. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from histo_ray.report.charts.canvas import (
    BAD,
    FAINT,
    GOOD,
    INK,
    PALE,
    PANEL,
    PAPER,
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
from histo_ray.types import Outcome

CARD_PX = (340, 346)
"""(width, height) of one slide's card; higher where a note has more than three lines."""
_NOTE_LINES = (3, 7)
"""Lines of a note, at least and at most."""
_LINE_PX = 18
_PICTURE_PX = (316, 222)
_GAP = 16
_HEAD = 72
_COLOURS: dict[Outcome, Colour] = {
    Outcome.DONE: GOOD,
    Outcome.SKIPPED: FAINT,
    Outcome.EMPTY: PALE,
    Outcome.FAILED: BAD,
}


@dataclass(frozen=True)
class SheetEntry:
    """One slide of the sheet."""

    slide_id: str
    outcome: Outcome
    note: str
    """What is written below: `82 tiles`, or the reason why there are none."""
    picture: Picture | None = None
    """Any size; an overview, best with `draw_overlay` on it. None if nothing could be read."""


def draw_contact_sheet(entries: Sequence[SheetEntry], title: str, columns: int = 3) -> Picture:
    """Draw one card a slide, in the order given, below a line that counts the outcomes.

    Args:
        entries: The slides.
        title: First line of the page.
        columns: Cards beside each other.

    Returns:
        (height, width, 3) RGB; its width does not depend on the number of slides.
    """
    rows = -(-len(entries) // columns)
    width = columns * (CARD_PX[0] + _GAP) + _GAP
    lines = max([_NOTE_LINES[0], *(len(_wrap_note(entry)) for entry in entries)])
    height = CARD_PX[1] + (lines - _NOTE_LINES[0]) * _LINE_PX
    page = blank(width, _HEAD + rows * (height + _GAP) + _GAP // 2)
    write_text(page, (_GAP, 14), shorten(title, 22, width - 2 * _GAP), 22)
    _write_counts(page, Counter(entry.outcome for entry in entries))
    for number, entry in enumerate(entries):
        row, column = divmod(number, columns)
        at = (_GAP + column * (CARD_PX[0] + _GAP), _HEAD + row * (height + _GAP))
        paste(page, draw_card(entry, height), at)
    return page


def draw_card(entry: SheetEntry, height: int = CARD_PX[1]) -> Picture:
    """Draw one slide: picture, id, outcome and note."""
    width = CARD_PX[0]
    card = blank(width, height)
    colour = _COLOURS[entry.outcome]
    frame(card, (0, 0, width, height), RULE)
    card[:4] = colour
    panel = _fit(entry.picture) if entry.picture is not None else _no_picture()
    paste(card, panel, (12, 16))
    top = 16 + _PICTURE_PX[1] + 10
    room = _PICTURE_PX[0]
    chip = text_width(entry.outcome, 13) + 16
    name = shorten(entry.slide_id, 16, room - chip - 10, "ends")
    write_text(card, (12, top), name, 16, INK)
    card[top : top + 22, width - 12 - chip : width - 12] = colour
    write_text(card, (width - 12 - chip + 8, top + 3), entry.outcome, 13, PAPER)
    lines = _wrap_note(entry)[: _NOTE_LINES[0] + (height - CARD_PX[1]) // _LINE_PX]
    for number, line in enumerate(lines):
        write_text(card, (12, top + 29 + _LINE_PX * number), line, 13, FAINT)
    return card


def _wrap_note(entry: SheetEntry) -> Sequence[str]:
    return wrap(entry.note, 13, _PICTURE_PX[0], _NOTE_LINES[1])


def _write_counts(page: Picture, counts: Counter[Outcome]) -> None:
    x = _GAP
    for outcome, colour in _COLOURS.items():
        if counts[outcome]:
            text = f"{counts[outcome]:,} {outcome}"
            write_text(page, (x, 44), text, 15, colour)
            x += text_width(text, 15) + 18


def _fit(picture: Picture) -> Picture:
    """Shrink or enlarge `picture` to lie whole on a panel."""
    width, height = _PICTURE_PX
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (
        min(width, max(1, round(picture.shape[1] * scale))),
        min(height, max(1, round(picture.shape[0] * scale))),
    )
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    fitted = cv2.resize(picture, size, interpolation=shrink).astype(np.uint8, copy=False)
    panel = blank(width, height, PANEL)
    paste(panel, fitted, ((width - size[0]) // 2, (height - size[1]) // 2))
    return panel


def _no_picture() -> Picture:
    width, height = _PICTURE_PX
    panel = blank(width, height, PANEL)
    cv2.line(panel, (0, 0), (width - 1, height - 1), RULE, 1, cv2.LINE_AA)
    cv2.line(panel, (0, height - 1), (width - 1, 0), RULE, 1, cv2.LINE_AA)
    text = "nothing could be read"
    wide = text_width(text, 14)
    left, top = (width - wide) // 2, height // 2 - 12
    panel[top - 4 : top + 26, left - 10 : left + wide + 10] = PANEL
    write_text(panel, (left, top), text, 14, FAINT)
    return panel
