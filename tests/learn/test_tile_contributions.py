"""What tiles add up to: pure arithmetic, held against poolings and heads done the long way."""

import numpy as np
import pytest

from histo_ray.learn.fold_data import measure_scale
from histo_ray.learn.heads.linear_fit import LinearFit, Link
from histo_ray.learn.tiles.tile_contributions import (
    TileScores,
    average_scores,
    influence_of,
    share_out,
)

RANDOM = np.random.default_rng(3)
DIM = 7


def head_of(dim: int, seed: int) -> LinearFit:
    random = np.random.default_rng(seed)
    train = random.normal(size=(40, dim)) * random.uniform(0.1, 5, dim) + 3
    weights, nothing = random.normal(size=(dim, 1)), np.array([np.nan])
    bias = np.array([0.4])
    return LinearFit(("G",), measure_scale(train), weights, bias, Link.IDENTITY, nothing, nothing)


@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_weighted_shares_add_up_to_the_decision_in_and_out_of_the_training_range(
    shift: float,
) -> None:
    head, tiles = head_of(DIM, 0), RANDOM.normal(size=(50, DIM)) + 3 + shift
    weights = RANDOM.uniform(0, 1, (1, 50))
    pooled = weights[0] @ tiles / weights.sum()
    decision = float(head.decide(pooled[None])[0, 0])
    held = head.scale.hold(pooled[None])[0]
    assert (np.abs(held - pooled).max() > 1) == bool(shift)  # the shifted patient lies outside
    scores = share_out((tiles @ head.raw_weights).T, weights, decision)
    assert scores.weight.sum() == pytest.approx(1)
    assert scores.weight @ scores.score == pytest.approx(decision, abs=1e-9)
    assert scores.contribution.mean() == pytest.approx(decision, abs=1e-9)
    apart = np.diff(scores.score)  # tiles differ by what the head says of them, shifted or not
    np.testing.assert_allclose(apart, np.diff((tiles @ head.raw_weights)[:, 0]), atol=1e-9)


def test_means_side_by_side_are_shared_out_tile_by_tile() -> None:
    head, tiles = head_of(2 * DIM, 1), RANDOM.normal(size=(50, DIM)) + 3
    weights = RANDOM.uniform(0, 1, (2, 50))
    means = weights @ tiles / weights.sum(1, keepdims=True)
    decision = float(head.decide(means.reshape(1, -1))[0, 0])
    blocks = head.raw_weights[:, 0].reshape(2, DIM)
    scores = share_out(blocks @ tiles.T, weights, decision)
    assert scores.contribution.mean() == pytest.approx(decision, abs=1e-9)
    assert len(set(scores.weight.tolist())) == 1


def test_influence_on_a_mean_is_the_exact_contribution() -> None:
    head, tiles = head_of(DIM, 2), RANDOM.normal(size=(50, DIM)) + 3
    pooled = tiles.mean(0)
    decision = float(head.decide(pooled[None])[0, 0])
    raw = head.raw_weights[:, 0]
    without = (tiles.sum(0) - tiles) / 49 @ raw
    found = influence_of(without, float(pooled @ raw), decision)
    exact = share_out((tiles @ raw)[None], np.ones((1, 50)), decision)
    np.testing.assert_allclose(found.contribution, exact.contribution, atol=1e-9)
    assert not found.exact
    alone = influence_of(np.zeros(1), 5.0, decision)
    assert alone.contribution.tolist() == [decision]
    assert alone.exact


def test_an_average_of_heads_weighs_each_head_once() -> None:
    one = TileScores(np.array([1.0, 3.0]), np.array([0.5, 0.5]), np.array([1.0, 3.0]))
    two = TileScores(np.array([4.0, 6.0]), np.array([0.1, 0.9]), np.array([0.8, 10.8]), False)
    both = average_scores([one, two], [1, 3])
    np.testing.assert_allclose(both.score, [3.25, 5.25])
    np.testing.assert_allclose(both.weight, [0.2, 0.8])
    np.testing.assert_allclose(both.contribution, [0.85, 8.85])
    assert not both.exact
    assert average_scores([one], [7]).exact
