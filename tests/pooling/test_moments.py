import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.pooling.moments import measure_block, merge_moments


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    offset=st.sampled_from([0.0, -3.0, 900.0]),
    seed=st.integers(0, 99),
)
def test_moments_by_blocks_are_those_of_all_at_once(
    sizes: list[int], offset: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    blocks = [(random.standard_normal((n, 3)) + offset).astype(np.float32) for n in sizes]
    whole = np.concatenate(blocks).astype(np.float64)
    moments = merge_moments(measure_block(block) for block in blocks)
    np.testing.assert_allclose(moments.mean, whole.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moments.std, whole.std(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(moments.highest, whole.max(axis=0))


def test_float16_is_summed_exactly_enough() -> None:
    many = np.full((5000, 2), [1000.0, 0.1], np.float16)
    pooled = measure_block(many).mean.astype(np.float32)
    np.testing.assert_allclose(pooled, many[0].astype(np.float32), rtol=1e-6)


def test_many_rows_of_many_columns_are_measured_as_numpy_does() -> None:
    random = np.random.default_rng(3)
    tiles = (random.standard_normal((2000, 300)) * 5 + 40).astype(np.float16)  # several pieces
    exact = tiles.astype(np.float64)
    moments = measure_block(tiles)
    assert moments.count == 2000
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(moments.std, exact.std(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(moments.highest, exact.max(axis=0))


def test_a_small_spread_far_from_zero_is_kept() -> None:
    steps = np.tile([[0.0], [0.5]], (700, 1))
    tiles = (1000 + steps).astype(np.float16)
    assert measure_block(tiles).std.astype(np.float32).tolist() == [0.25]


@pytest.mark.parametrize("value", [0.1, 900.1])
def test_equal_tiles_have_no_spread(value: float) -> None:
    tiles = np.full((250, 2), value, np.float32)  # whose float32 mean is off by the last bits
    assert measure_block(tiles).std.astype(np.float32).tolist() == [0, 0]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_column(bad: float) -> None:
    tiles = np.ones((600, 3), np.float16)
    tiles[571, 1] = bad
    moments = measure_block(tiles)
    for pooled in (moments.mean, moments.std):
        assert np.isfinite(pooled).tolist() == [True, False, True]
    assert moments.highest[0] == 1


def test_moments_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="of no block"):
        merge_moments([])
