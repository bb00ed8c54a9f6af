import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.pooling.quantiles import pool_median, pool_quantiles


@given(
    sizes=st.lists(st.sampled_from([0, 1, 2, 17, 30]), min_size=1, max_size=5).filter(any),
    dim=st.sampled_from([1, 15, 131]),
    dtype=st.sampled_from(["float16", "float32"]),
    seed=st.integers(0, 99),
)
def test_quantiles_are_those_of_all_rows(sizes: list[int], dim: int, dtype: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    bags = [(random.standard_normal((n, dim)) * 3).astype(dtype) for n in sizes]
    whole = np.concatenate(bags).astype(np.float64)
    pooled = pool_quantiles(bags)
    assert (pooled.dtype, pooled.shape) == (np.dtype(np.float32), (3 * dim,))
    plain = np.quantile(whole, [0.1, 0.5, 0.9], axis=0)
    np.testing.assert_allclose(pooled.reshape(3, dim), plain, rtol=1e-6, atol=1e-7)


def test_rows_are_turned_in_parts() -> None:
    tiles = np.random.default_rng(5).standard_normal((9001, 3)).astype(np.float16)
    plain = np.quantile(tiles.astype(np.float64), [0.1, 0.5, 0.9], axis=0).reshape(-1)
    np.testing.assert_allclose(pool_quantiles([tiles[:4500], tiles[4500:]]), plain, rtol=1e-6)


def test_the_median_is_over_all_rows_and_every_column() -> None:
    random = np.random.default_rng(3)
    bags = [random.standard_normal((n, 131)).astype(np.float16) for n in (3, 8, 14)]
    whole = np.median(np.concatenate(bags).astype(np.float32), axis=0)
    np.testing.assert_array_equal(pool_median(bags), whole)


def test_columns_may_be_shared_out() -> None:
    tiles = [np.random.default_rng(0).standard_normal((70, 300)).astype(np.float16)]
    with ThreadPoolExecutor(3) as threads:
        np.testing.assert_array_equal(
            pool_quantiles(tiles, spread=threads.map), pool_quantiles(tiles)
        )


def test_infinities_are_numbers_and_nan_is_not() -> None:
    column = [-np.inf, -np.inf, 0.5, 2, np.inf]
    tiles = np.array([column, [1, 2, 3, 4, 5], [1, 2, np.nan, 4, 5]], np.float16).T
    low, middle, high = pool_quantiles([tiles]).reshape(3, 3)
    assert (low[0], middle[0], high[0]) == (-np.inf, 0.5, np.inf)
    np.testing.assert_allclose([low[1], middle[1], high[1]], [1.4, 3, 4.6], rtol=1e-6)
    assert np.isnan([low[2], middle[2], high[2]]).all()


def test_one_tile_is_all_its_quantiles() -> None:
    assert pool_quantiles([np.array([[2.5, -1]], np.float16)]).tolist() == [2.5, -1] * 3


@pytest.mark.parametrize("count", [20_000, 80_000])
def test_memory_beside_the_bags_does_not_grow_with_them(count: int) -> None:
    tiles = np.zeros((count, 96), np.float16)
    tracemalloc.start()
    pool_quantiles([tiles])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20  # one and a half times the numbers sorted together
