import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo_ray.synth.noise import Window, hash_uniform, noise_at, smooth_noise

WIDE = Window(-30.0, 12.0, 0.5, 640, 360)


def test_noise_has_mean_zero_and_unit_spread() -> None:
    noise = smooth_noise(Window(0, 0, 2.0, 1500, 900), 7.0, 5, 1)
    assert noise.shape == (900, 1500)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)


def test_noise_differs_between_seeds_and_channels() -> None:
    base = smooth_noise(WIDE, 9.0, 5, 1)
    for other in (smooth_noise(WIDE, 9.0, 6, 1), smooth_noise(WIDE, 9.0, 5, 2)):
        assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < 0.3


def test_noise_is_not_the_same_along_x_and_y() -> None:
    square = smooth_noise(Window(0, 0, 1, 200, 200), 9.0, 5, 1)
    assert not np.allclose(square, square.T, atol=0.1)


@settings(max_examples=25, deadline=None)
@given(
    left=st.integers(0, 500), top=st.integers(0, 300), scale=st.floats(1.0, 300.0),
    seed=st.integers(0, 2**40),
)  # fmt: skip
def test_a_part_of_the_plane_is_the_same_computed_alone(
    left: int, top: int, scale: float, seed: int
) -> None:
    whole = smooth_noise(WIDE, scale, seed, 1)
    part = Window(WIDE.left + left * 0.5, WIDE.top + top * 0.5, 0.5, 70, 31)
    expected = whole[top : top + 31, left : left + 70]
    np.testing.assert_allclose(smooth_noise(part, scale, seed, 1), expected, atol=1e-4)


def test_one_point_is_the_plane_at_that_point() -> None:
    whole = smooth_noise(WIDE, 8.0, 3, 4)
    x, y = float(WIDE.xs()[611]), float(WIDE.ys()[44])
    assert noise_at(x, y, 8.0, 3, 4) == pytest.approx(whole[44, 611], abs=1e-4)


def test_hashes_are_uniform_and_in_range() -> None:
    ix, iy = np.meshgrid(np.arange(-150, 150), np.arange(-90, 90))
    draws = hash_uniform(ix, iy, 1, 2)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts, _ = np.histogram(draws, 10, (0, 1))
    np.testing.assert_allclose(counts / draws.size, 0.1, atol=0.01)


def test_noise_runs_on_smoothly_between_and_across_lattice_points() -> None:
    noise = smooth_noise(Window(0, 0, 0.1, 500, 300), 9.0, 5, 1)
    assert np.abs(np.diff(noise, axis=0)).max() < 0.06
    assert np.abs(np.diff(noise, axis=1)).max() < 0.06
