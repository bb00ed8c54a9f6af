import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.slides.area import axis_weights


@given(extent=st.floats(1, 300), count=st.integers(1, 80))
def test_every_output_pixel_is_a_mean(extent: float, count: int) -> None:
    weights = axis_weights(extent, count).toarray()
    assert weights.shape == (count, max(1, int(np.ceil(extent - 1e-9))))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert (weights >= 0).all()


@given(extent=st.floats(8, 200), count=st.integers(2, 8))
def test_shrinking_is_the_exact_integral_over_each_footprint(extent: float, count: int) -> None:
    row = np.random.default_rng(count).random(int(np.ceil(extent)) + 1)
    edges = np.arange(count + 1) * extent / count
    integral = np.interp(edges, np.arange(len(row) + 1), np.r_[0, np.cumsum(row)])
    weights = axis_weights(extent, count)
    means = weights @ row[: weights.shape[1]]
    np.testing.assert_allclose(means, np.diff(integral) / (extent / count), atol=1e-5)


def test_enlarging_is_linear_between_centres() -> None:
    row = np.arange(20.0)
    means = axis_weights(20.0, 21) @ row
    wanted = np.clip((np.arange(21) + 0.5) * 20 / 21 - 0.5, 0, 19)
    assert means == pytest.approx(wanted, abs=1e-5)
