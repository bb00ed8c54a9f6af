import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.report.charts.canvas import (
    bar_length,
    blank,
    draw_scale_bar,
    shorten,
    text_width,
    wrap,
    write_text,
)


@given(text=st.text(max_size=200), width=st.integers(0, 400), size=st.sampled_from([12, 20]))
def test_a_shortened_text_fits(text: str, width: int, size: int) -> None:
    for keep in ("start", "ends"):
        assert text_width(shorten(text, size, width, keep), size) <= width


def test_shortening_can_keep_both_ends_of_an_identifier() -> None:
    cut = shorten("TCGA-05-4249-01Z-00-DX1.7c0f", 13, 120, "ends")
    assert cut.startswith("TCGA")
    assert cut.endswith("c0f")


def test_wrapping_keeps_the_words_and_the_number_of_lines() -> None:
    text = "the slide holds no tissue that is larger than the least area asked for"
    lines = wrap(text, 13, 200, 5)
    assert " ".join(lines) == text
    assert all(text_width(line, 13) <= 200 for line in lines)
    assert len(wrap(text, 13, 100, 2)) == 2
    assert wrap("", 13, 100, 2) == []


@pytest.mark.parametrize(
    ("um_per_px", "room", "um", "label"),
    [
        (0.25, 100, 20, "20 um"),
        (8, 200, 1000, "1 mm"),
        (8, 700, 5000, "5 mm"),
        (0.001, 9, 0.009, "0.009 um"),
    ],
)
def test_a_scale_bar_is_the_longest_round_one_that_fits(
    um_per_px: float, room: float, um: float, label: str
) -> None:
    length, text = bar_length(um_per_px, room)
    assert length == pytest.approx(um)
    assert text == label


def test_the_drawn_bar_is_as_long_as_it_says() -> None:
    page = blank(800, 300)
    draw_scale_bar(page, 2.0, (0, 0, 800, 300))  # 200 px are free: 200 um are 100 px
    dark = (page[300 - 15] < 60).all(1)
    assert dark.sum() == 100


def test_no_bar_is_drawn_where_there_is_no_room() -> None:
    page = blank(40, 300)
    draw_scale_bar(page, 2.0, (0, 0, 40, 300))
    assert (page == 255).all()


def test_text_beyond_the_page_is_cut_not_an_error() -> None:
    page = blank(60, 30)
    write_text(page, (50, 20), "far too long for this", 20)
    write_text(page, (70, 5), "outside", 12)
    assert page.shape == (30, 60, 3)
    assert (np.asarray(page)[:15] == 255).all()
