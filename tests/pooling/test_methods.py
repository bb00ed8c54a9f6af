import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.errors import ConfigError
from histo_ray.pooling.methods import (
    Kind,
    Way,
    check_pool,
    measure_block,
    merge_moments,
    parse_pool,
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
    ways: list[Kind] = ["mean", "std", "max", "mean+std"]
    for way in ways:
        pooled = pool_moments(moments, way)
        assert pooled.dtype == np.float32
        np.testing.assert_allclose(pooled, plain[way], rtol=1e-5, atol=1e-6)


def test_float16_is_summed_exactly_enough() -> None:
    many = np.full((5000, 2), [1000.0, 0.1], np.float16)
    pooled = pool_moments(measure_block(many), "mean")
    np.testing.assert_allclose(pooled, many[0].astype(np.float32), rtol=1e-6)


def test_many_rows_of_many_columns_are_measured_as_numpy_does() -> None:
    random = np.random.default_rng(3)
    tiles = (random.standard_normal((2000, 300)) * 5 + 40).astype(np.float16)  # several pieces
    exact = tiles.astype(np.float64)
    moments = measure_block(tiles)
    assert moments.count == 2000
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(pool_moments(moments, "std"), exact.std(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(moments.highest, exact.max(axis=0))


def test_a_small_spread_far_from_zero_is_kept() -> None:
    steps = np.tile([[0.0], [0.5]], (700, 1))
    tiles = (1000 + steps).astype(np.float16)
    assert pool_moments(measure_block(tiles), "std").tolist() == [0.25]


@pytest.mark.parametrize("value", [0.1, 900.1])
def test_equal_tiles_have_no_spread(value: float) -> None:
    tiles = np.full((250, 2), value, np.float32)  # whose float32 mean is off by the last bits
    assert pool_moments(measure_block(tiles), "std").tolist() == [0, 0]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_column(bad: float) -> None:
    tiles = np.ones((600, 3), np.float16)
    tiles[571, 1] = bad
    moments = measure_block(tiles)
    for kind in ("mean", "std"):
        pooled = pool_moments(moments, kind)
        assert np.isfinite(pooled).tolist() == [True, False, True]
    assert pool_moments(moments, "max")[0] == 1


def test_pooling_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="of no block"):
        merge_moments([])


def test_an_unknown_way_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'sum' is unknown; choose one of mean, std, mean\+std"):
        check_pool("sum")


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("mean+std", Way("mean+std")),
        ("quantiles", Way("quantiles")),
        ("classes", Way("classes")),
        ("class:TUM", Way("class", ("TUM",))),
        ("class: TUM,STR,TUM", Way("class", ("STR", "TUM"))),
    ],
)
def test_a_way_is_read_from_its_name(text: str, way: Way) -> None:
    assert parse_pool(text) == way
    assert parse_pool(str(way)) == way


@pytest.mark.parametrize("text", ["class", "class:", "class:TUM,", "Mean", "", "quantile"])
def test_half_a_name_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"choose one of mean, .* class:NAME\[,NAME\.\.\.\], classes"
    ):
        parse_pool(text)


def test_each_way_knows_its_width() -> None:
    widths = {"mean": 7, "mean+std": 14, "quantiles": 21, "class:A": 7, "classes": 63}
    for text, width in widths.items():
        assert parse_pool(text).width(7, 9) == width
