import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.config import TilingConfig
from histo_ray.errors import SlideError
from histo_ray.tiles.grid import plan_tiles, tissue_fraction
from histo_ray.types import Mpp, Pyramid, Size, TissueMask

SETTINGS = TilingConfig(tile_px=150, mpp=0.5)


def pyramid(size: Size, x: float = 0.25, y: float = 0.25) -> Pyramid:
    return Pyramid("S1", Mpp(x, y), "file", (size,))


WIDE = pyramid((1200, 700))  # never square: swapped axes must fail


def full(slide: Pyramid, downsample: int = 10) -> TissueMask:
    width, height = slide.size
    pixels = np.ones((height // downsample, width // downsample), bool)
    return TissueMask(pixels, (downsample, downsample))


def test_tiles_are_row_major_in_level0_pixels() -> None:
    for mask in (full(WIDE), None):
        grid = plan_tiles(WIDE, mask, SETTINGS)
        assert grid.side == (300.0, 300.0)
        assert grid.coords.dtype == np.int32
        assert grid.tissue.tolist() == [1.0] * 8
        assert grid.coords.tolist() == [
            [0, 0], [300, 0], [600, 0], [900, 0],
            [0, 300], [300, 300], [600, 300], [900, 300],
        ]  # fmt: skip


def test_axes_of_different_resolution_make_tiles_that_are_not_square() -> None:
    grid = plan_tiles(pyramid((1200, 700), 0.25, 0.5), None, SETTINGS)
    assert grid.side == (300.0, 150.0)
    assert grid.coords.max(axis=0).tolist() == [900, 450]


@pytest.mark.parametrize(("tissue_columns", "kept"), [(0, 0), (7, 0), (8, 1), (30, 1)])
def test_a_tile_is_kept_from_a_quarter_tissue_on(tissue_columns: int, kept: int) -> None:
    slide = pyramid((300, 310), 0.5, 0.5)  # one tile of 30 x 30 mask px
    mask = full(slide)
    mask.pixels[:, tissue_columns:] = False
    tiling = TilingConfig(tile_px=300, mpp=0.5, min_tissue=0.25)
    assert len(plan_tiles(slide, mask, tiling)) == kept


def test_exactly_the_least_fraction_is_enough() -> None:
    slide = pyramid((301, 310), 0.5, 0.5)
    mask = TissueMask(np.zeros((70, 40), bool), (301 / 40, 310 / 70))
    mask.pixels[:, :10] = True
    least = float(tissue_fraction(mask, np.array([[0, 0]], np.int32), (300, 300))[0])
    tiling = TilingConfig(tile_px=300, mpp=0.5, min_tissue=least)
    assert len(plan_tiles(slide, mask, tiling)) == 1


def test_fractional_strides_do_not_drift() -> None:
    slide = pyramid((100_000, 3_000), 0.2263, 0.2263)
    grid = plan_tiles(slide, None, TilingConfig(tile_px=224, mpp=0.5))
    stride = 224 * 0.5 / 0.2263
    xs = np.unique(grid.coords[:, 0])
    assert np.abs(xs - np.arange(len(xs)) * stride).max() <= 0.5
    assert xs[-1] + 2 * stride > 100_000 - 1


def test_overlapping_strides_reach_the_far_edges() -> None:
    grid = plan_tiles(WIDE, None, TilingConfig(tile_px=150, stride_px=50, mpp=0.5))
    assert grid.coords.max(axis=0).tolist() == [900, 400]
    assert len(grid) == 10 * 5


@pytest.mark.parametrize("size", [(299, 700), (1200, 299), (1, 1)])
def test_a_slide_smaller_than_one_tile_has_none(size: Size) -> None:
    grid = plan_tiles(pyramid(size), None, SETTINGS)
    assert len(grid) == 0
    assert grid.coords.shape == (0, 2)
    assert len(plan_tiles(pyramid((300, 300)), None, SETTINGS)) == 1


def test_a_coarse_slide_is_refused_with_a_remedy() -> None:
    with pytest.raises(SlideError, match=r"slide 'S1': scanned at 1 mpp.*raise --mpp"):
        plan_tiles(pyramid((1200, 700), 1.0, 1.0), None, SETTINGS)


@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    stride=st.integers(16, 224),
    x=st.floats(0.2, 0.5),
    y=st.floats(0.2, 0.5),
)
def test_every_tile_lies_inside_the_slide(
    width: int, height: int, stride: int, x: float, y: float
) -> None:
    slide = pyramid((width, height), x, y)
    mask = TissueMask(np.ones((-(-height // 16), -(-width // 16)), bool), (16, 16))
    tiling = TilingConfig(stride_px=stride)
    grid = plan_tiles(slide, mask, tiling)
    assert (grid.coords >= 0).all()
    assert (grid.coords + np.array(grid.side) <= [width, height]).all()
    assert len(grid) == len(plan_tiles(slide, None, tiling))
    np.testing.assert_allclose(grid.tissue, 1, atol=1e-6)


@given(seed=st.integers(0, 99))
def test_tissue_fraction_is_the_plain_mean_on_whole_mask_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = TissueMask(rng.random((70, 120)) < 0.5, (10, 10))
    coords = (rng.integers(0, [91, 41], (20, 2)) * 10).astype(np.int32)  # up to both far edges
    plain = [mask.pixels[y // 10 : y // 10 + 30, x // 10 : x // 10 + 30].mean() for x, y in coords]
    np.testing.assert_allclose(tissue_fraction(mask, coords, (300, 300)), plain, atol=1e-6)


@given(seed=st.integers(0, 99))
def test_mask_pixels_cut_by_an_edge_count_by_their_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    small = rng.random((7, 12)) < 0.5
    fine = np.kron(small, np.ones((20, 10), bool))  # 140 x 120 level-0 px
    coords = rng.integers(0, [120 - 33, 140 - 47], (20, 2), endpoint=True).astype(np.int32)
    plain = [fine[y : y + 47, x : x + 33].mean() for x, y in coords]
    found = tissue_fraction(TissueMask(small, (10, 20)), coords, (33, 47))
    np.testing.assert_allclose(found, plain, atol=1e-5)


def test_200_000_candidates_take_less_than_a_second() -> None:
    slide = pyramid((100_000, 90_000), 0.25, 0.25)
    mask = full(slide, 32)
    start = time.process_time()  # not the clock: others may be at work on this machine
    grid = plan_tiles(slide, mask, TilingConfig(stride_px=105))
    assert len(grid) > 180_000
    assert time.process_time() - start < 1
