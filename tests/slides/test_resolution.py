import math

import pytest

from histo_ray.slides.resolution import StatedMpp, choose_mpp, is_plausible, mpp_from_tiff

FILE = StatedMpp("file", 0.25, 0.26)
TAGS = StatedMpp("tiff-tags", 0.4, 0.4)


def test_sources_are_asked_in_the_documented_order() -> None:
    assert choose_mpp(0.3, (FILE, TAGS), 0.7) == ((0.3, 0.3), "manifest")
    assert choose_mpp(None, (FILE, TAGS), 0.7) == ((0.25, 0.26), "file")
    assert choose_mpp(None, (StatedMpp("file", None, None), TAGS), 0.7) == ((0.4, 0.4), "tiff-tags")
    assert choose_mpp(None, (), 0.7) == ((0.7, 0.7), "flag")
    assert choose_mpp(None, (), None) is None


@pytest.mark.parametrize("value", [0.0, -1.0, 0.049, 20.1, 352.8, math.nan, math.inf, None])
def test_implausible_values_of_a_file_are_passed_over(value: float | None) -> None:
    assert not is_plausible(value)
    assert choose_mpp(None, (StatedMpp("file", value, value), TAGS), None) == (
        (0.4, 0.4),
        "tiff-tags",
    )


def test_an_axis_left_unsaid_takes_the_other() -> None:
    assert StatedMpp("file", None, 0.5).plausible == (0.5, 0.5)
    assert StatedMpp("file", 0.25, math.nan).plausible == (0.25, 0.25)


def test_tiff_resolutions_are_turned_into_microns_axis_by_axis() -> None:
    assert mpp_from_tiff(20_000, 40_000, "centimeter").plausible == (0.5, 0.25)
    assert mpp_from_tiff(50_800, 25_400, "inch").plausible == (0.5, 1.0)
    assert mpp_from_tiff(72, 72, "inch").plausible is None
    assert mpp_from_tiff(20_000, 20_000, "none").plausible is None
    for zero in (0.0, math.inf, math.nan, None):
        assert mpp_from_tiff(zero, zero, "inch").plausible is None
