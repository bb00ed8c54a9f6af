import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.slides.area import axis_weights
from histo_ray.tiles import resample
from histo_ray.tiles.resample import resample_tiles


def tiles(height: int, width: int, count: int = 2, seed: int = 0) -> npt.NDArray[np.uint8]:
    shape = (count, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def exact(
    tile: npt.NDArray[np.uint8], extent: tuple[float, float], tile_px: int
) -> npt.NDArray[np.float64]:
    """Area averages by sums over every input px, in float64."""
    out = np.zeros((tile_px, tile_px, 3))
    step_x, step_y = extent[0] / tile_px, extent[1] / tile_px
    for row in range(tile_px):
        for column in range(tile_px):
            y0, y1, x0, x1 = (
                row * step_y,
                (row + 1) * step_y,
                column * step_x,
                (column + 1) * step_x,
            )
            for y in range(int(y0), min(len(tile), int(np.ceil(y1)))):
                for x in range(int(x0), min(tile.shape[1], int(np.ceil(x1)))):
                    share = (min(y + 1, y1) - max(y, y0)) * (min(x + 1, x1) - max(x, x0))
                    out[row, column] += share * tile[y, x]
    return out / (step_x * step_y)


@given(width=st.floats(16, 60), height=st.floats(16, 60), seed=st.integers(0, 99))
def test_shrinking_is_the_exact_area_average(width: float, height: float, seed: int) -> None:
    pixels = tiles(int(np.ceil(height)), int(np.ceil(width)), 1, seed)
    found = resample_tiles(pixels, (width, height), 16)[0]
    assert np.abs(found - exact(pixels[0], (width, height), 16)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("ratio", [2, 3, 4, 5])
def test_the_fast_way_agrees_with_the_weights_within_rounding(ratio: int) -> None:
    pixels = tiles(14 * ratio, 14 * ratio)
    fast = resample_tiles(pixels, (14.0 * ratio, 14.0 * ratio), 14)
    slow = np.empty((len(pixels), 14, 14, 3), np.float32)
    for tile, target in zip(pixels, slow, strict=True):
        resample._resample(tile, (14.0 * ratio,) * 2, target)
    assert np.abs(fast.astype(int) - slow.astype(np.uint8)).max() <= 1
    assert (np.abs(fast - (slow - 0.5)) <= 0.501).all()


def test_axes_are_resampled_apart() -> None:
    pixels = tiles(28, 42)
    found = resample_tiles(pixels, (42.0, 28.0), 14)
    blocks = pixels.reshape(2, 14, 2, 14, 3, 3).mean((2, 4))
    assert np.abs(found - blocks).max() <= 0.5 + 1e-4


def test_one_axis_may_stay_as_it_is() -> None:
    pixels = tiles(20, 33)
    found = resample_tiles(pixels, (33.0, 20.0), 20)
    columns = axis_weights(33.0, 20) @ pixels[0, 7].astype(float)
    assert np.abs(found[0, 7] - columns).max() <= 0.51


def test_tiles_of_the_right_size_are_not_touched() -> None:
    pixels = tiles(21, 22)
    np.testing.assert_array_equal(resample_tiles(pixels, (20.0, 20.0), 20), pixels[:, :20, :20])


def test_pixels_beyond_the_extent_do_not_count() -> None:
    pixels = tiles(42, 43)
    masked = pixels.copy()
    masked[:, 41:] = 0
    masked[:, :, 42:] = 0
    extent = (41.9, 40.5)
    np.testing.assert_array_equal(
        resample_tiles(pixels, extent, 20), resample_tiles(masked, extent, 20)
    )


@pytest.mark.parametrize("extent", [(21.3, 20.9), (47.7, 60.2), (42.0, 42.0), (20.0, 20.5)])
def test_a_plain_colour_stays_what_it_is(extent: tuple[float, float]) -> None:
    for value in (0, 1, 127, 254, 255):
        pixels = np.full((1, 61, 49, 3), value, np.uint8)
        assert (resample_tiles(pixels, extent, 21) == value).all()


def test_halves_are_rounded_up_where_two_pixels_meet() -> None:
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels[:, ::2] = 1
    assert (resample_tiles(pixels, (4.0, 4.0), 2) == 1).all()
    assert (resample_tiles(pixels[:, :, :3], (3.0, 4.0), 2) == 1).all()


def test_a_slight_enlargement_is_linear() -> None:
    ramp = np.broadcast_to(np.arange(20, dtype=np.uint8)[None, None, :, None] * 10, (1, 20, 20, 3))
    found = resample_tiles(np.ascontiguousarray(ramp), (20.0, 20.0), 21)[0, 5, :, 0]
    wanted = np.clip((np.arange(21) + 0.5) * 20 / 21 - 0.5, 0, 19) * 10
    assert np.abs(found - wanted).max() <= 0.51


def test_an_empty_batch_stays_empty() -> None:
    assert resample_tiles(np.empty((0, 40, 41, 3), np.uint8), (40.5, 40.0), 20).shape[0] == 0


@pytest.mark.parametrize(("extent", "tile_px"), [((301.3, 299.7), 150), ((77.5, 78.25), 80)])
def test_a_value_is_the_same_however_many_rows_are_made_at_once(
    monkeypatch: pytest.MonkeyPatch, extent: tuple[float, float], tile_px: int
) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (300, 302, 3)).astype(np.uint8)
    made = {}
    for floats in (1, 5_000, 2**18):
        monkeypatch.setattr(resample, "STRIP_FLOATS", floats)
        made[floats] = resample.resample_tiles(tile[np.newaxis], extent, tile_px)[0]
    np.testing.assert_array_equal(made[1], made[2**18])
    np.testing.assert_array_equal(made[5_000], made[2**18])
