import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.finetune.schedule import (
    HEAD,
    batch_random,
    batch_rows,
    count_batches,
    rate_factor,
    share,
)


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    factors = [rate_factor(step, 20, 0.2) for step in range(20)]
    np.testing.assert_allclose(factors[:4], [0.2, 0.4, 0.6, 0.8])
    assert factors[4] == 1
    np.testing.assert_allclose(factors[12], 0.5)
    assert factors[19] == pytest.approx(0.5 * (1 + math.cos(math.pi * 15 / 16)))
    assert rate_factor(0, 1, 1.0) > 0


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_shows_each_tile_at_most_once_and_all_but_a_rest(
    tiles: int, size: int, seed: int, epoch: int
) -> None:
    batches = count_batches(tiles, size)
    shown = np.concatenate([batch_rows(tiles, size, seed, epoch, b) for b in range(batches)])
    assert len(set(shown.tolist())) == len(shown)
    assert len(shown) == (tiles if tiles < size else tiles - tiles % size)
    assert set(shown.tolist()) <= set(range(tiles))


def test_order_and_numbers_depend_on_seed_epoch_batch_and_purpose() -> None:
    first = batch_rows(50, 50, 0, 0, 0).tolist()
    assert first == batch_rows(50, 50, 0, 0, 0).tolist()
    assert first != batch_rows(50, 50, 0, 1, 0).tolist()
    assert first != batch_rows(50, 50, 1, 0, 0).tolist()
    numbers = {
        batch_random(*place).random()
        for place in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0, HEAD))
    }
    assert len(numbers) == 5


@given(st.integers(0, 100), st.integers(1, 9))
def test_shares_are_consecutive_complete_and_equal_but_for_one(count: int, parts: int) -> None:
    shares = [range(count)[share(count, part, parts)] for part in range(parts)]
    assert [i for piece in shares for i in piece] == list(range(count))
    sizes = [len(piece) for piece in shares]
    assert max(sizes) - min(sizes) <= 1
