import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.errors import ConfigError
from histo_ray.store.pooling import (
    Pool,
    check_pool,
    measure_block,
    merge_moments,
    pool_median,
    pool_moments,
)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    offset=st.sampled_from([0.0, -3.0, 900.0]),
    seed=st.integers(0, 99),
)
def test_pooling_by_blocks_is_pooling_at_once(sizes: list[int], offset: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    blocks = [(random.standard_normal((n, 3)) + offset).astype(np.float32) for n in sizes]
    whole = np.concatenate(blocks).astype(np.float64)
    moments = merge_moments(measure_block(block) for block in blocks)
    plain = {"mean": whole.mean(axis=0), "std": whole.std(axis=0), "max": whole.max(axis=0)}
    plain["mean+std"] = np.concatenate([plain["mean"], plain["std"]])
    ways: list[Pool] = ["mean", "std", "max", "mean+std"]
    for way in ways:
        pooled = pool_moments(moments, way)
        assert pooled.dtype == np.float32
        np.testing.assert_allclose(pooled, plain[way], rtol=1e-5, atol=1e-6)


def test_float16_is_summed_exactly_enough() -> None:
    many = np.full((5000, 2), [1000.0, 0.1], np.float16)
    pooled = pool_moments(measure_block(many), "mean")
    np.testing.assert_allclose(pooled, many[0].astype(np.float32), rtol=1e-6)


def test_the_median_is_over_all_rows_and_every_column() -> None:
    random = np.random.default_rng(3)
    bags = [random.standard_normal((n, 131)).astype(np.float16) for n in (3, 8, 14)]
    whole = np.median(np.concatenate(bags).astype(np.float32), axis=0)
    np.testing.assert_array_equal(pool_median(bags), whole)


def test_pooling_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="of nothing"):
        merge_moments([])


def test_an_unknown_way_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"pool: 'sum', wanted one of mean, std, mean\+std"):
        check_pool("sum")
