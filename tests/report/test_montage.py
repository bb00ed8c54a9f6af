import numpy as np
import pytest

from histo_ray.report.charts.canvas import BAD, GOOD, PALE, Picture
from histo_ray.report.slides.montage import CARD_PX, SheetEntry, draw_card, draw_contact_sheet
from histo_ray.types import Outcome

ENTRIES = [
    SheetEntry("S1", Outcome.DONE, "82 tiles", np.full((120, 700, 3), 90, np.uint8)),
    SheetEntry("S2", Outcome.EMPTY, "no tissue", np.full((700, 120, 3), 240, np.uint8)),
    SheetEntry("S3", Outcome.FAILED, "the file is truncated " * 30),
    SheetEntry("S" * 300, Outcome.SKIPPED, ""),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.outcome)
def test_a_card_has_one_size_whatever_is_on_it(entry: SheetEntry) -> None:
    assert draw_card(entry).shape == (CARD_PX[1], CARD_PX[0], 3)


def test_the_sheet_shows_lost_slides_in_their_own_colours() -> None:
    sheet = draw_contact_sheet(ENTRIES, "run " * 200, columns=2)
    high = CARD_PX[1] + 4 * 18  # the reason of S3 has seven lines, not three
    assert sheet.shape[:2] == (72 + 2 * (high + 16) + 8, 2 * (CARD_PX[0] + 16) + 16)
    assert tops(sheet, 0, high) == [GOOD, PALE]
    assert tops(sheet, 1, high)[0] == BAD


def test_cards_are_no_higher_than_their_notes_need() -> None:
    sheet = draw_contact_sheet([ENTRIES[0], ENTRIES[1]], "short notes", columns=2)
    assert sheet.shape[0] == 72 + CARD_PX[1] + 16 + 8


def test_a_run_without_slides_is_a_page_too() -> None:
    assert draw_contact_sheet([], "nothing").shape[1] == 3 * (CARD_PX[0] + 16) + 16


def tops(sheet: Picture, row: int, high: int) -> list[tuple[int, ...]]:
    """The colour over each card of a row."""
    y = 72 + row * (high + 16) + 1
    return [tuple(sheet[y, 100 + column * (CARD_PX[0] + 16)].tolist()) for column in (0, 1)]
