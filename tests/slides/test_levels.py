import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.errors import SlideError
from histo_ray.slides.levels import choose_level, nominal_downsample
from histo_ray.types import Mpp, Pyramid

LEVELS = ((2220, 2967), (555, 741), (138, 185))
FINE = Pyramid("S1", Mpp(0.25, 0.25), "file", LEVELS)


@pytest.mark.parametrize(
    ("mpp", "level", "extent"),
    [(0.25, 0, 224.0), (0.5, 0, 448.0), (0.99, 0, 887.04), (1.0, 1, 224.0), (2.0, 1, 448.0)],
)
def test_the_coarsest_level_that_is_fine_enough_is_read(
    mpp: float, level: int, extent: float
) -> None:
    read = choose_level(FINE, mpp, 224)
    assert read.level == level
    assert read.extent == pytest.approx((extent, extent))


def test_a_level_one_percent_too_coarse_still_serves_and_two_percent_does_not() -> None:
    assert choose_level(FINE, 0.995, 224).level == 1
    assert choose_level(FINE, 0.98, 224).level == 0


def test_axes_of_different_resolution_are_kept_apart() -> None:
    slide = Pyramid("S1", Mpp(0.5, 0.25), "file", ((800, 1200), (400, 600)))
    read = choose_level(slide, 0.5, 224)
    assert read.level == 0  # level 1 would be too coarse along x
    assert read.extent == (224.0, 448.0)
    assert read.read_size == (224, 448)


def test_a_fractional_extent_is_read_rounded_up() -> None:
    read = choose_level(Pyramid("S1", Mpp(0.499, 0.3), "file", ((999, 777),)), 0.5, 224)
    assert read.extent == pytest.approx((224.4489, 373.3333), abs=1e-4)
    assert read.read_size == (225, 374)


def test_float_arithmetic_does_not_add_a_pixel() -> None:
    slide = Pyramid("S1", Mpp(0.1 + 0.2, 0.3), "file", ((999, 777),))
    assert choose_level(slide, 0.6, 100).read_size == (200, 200)


def test_the_rounding_of_level_sizes_is_taken_out() -> None:
    assert nominal_downsample(FINE, 1) == (4.0, 4.0)
    assert nominal_downsample(FINE, 2) == (16.0, 16.0)
    odd = Pyramid("S1", Mpp(1, 1), "file", ((1000, 900), (400, 300)))
    assert nominal_downsample(odd, 1) == (2.5, 3.0)


@pytest.mark.parametrize("mpp", [Mpp(1.0, 1.0), Mpp(0.5, 1.0), Mpp(1.0, 0.5)])
def test_a_slide_too_coarse_along_any_axis_is_refused_with_a_remedy(mpp: Mpp) -> None:
    remedy = r"slide 'S2': scanned at 1 mpp, coarser than the requested 0\.5 mpp; raise --mpp"
    with pytest.raises(SlideError, match=remedy):
        choose_level(Pyramid("S2", mpp, "file", ((1200, 700),)), 0.5, 224)


def test_five_percent_of_enlargement_is_accepted() -> None:
    slide = Pyramid("S2", Mpp(0.5249, 0.5249), "file", ((1200, 700),))
    assert choose_level(slide, 0.5, 224).extent[0] == pytest.approx(213.37, abs=0.01)


@given(x=st.floats(0.05, 0.5), y=st.floats(0.05, 0.5), mpp=st.floats(0.5, 20))
def test_no_level_read_is_coarser_than_tolerated(x: float, y: float, mpp: float) -> None:
    sizes = ((9001, 7003), (4500, 3501), (1125, 875))
    slide = Pyramid("S", Mpp(x, y), "file", sizes)
    read = choose_level(slide, mpp, 224)
    assert x * read.downsample[0] <= mpp * 1.0100001
    assert y * read.downsample[1] <= mpp * 1.0100001
    assert read.read_size[0] >= read.extent[0] - 1e-6
    assert read.read_size[1] >= read.extent[1] - 1e-6
