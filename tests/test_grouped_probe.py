"""The probe of the fine-tuning benchmark: its settings are chosen on groups."""

import numpy as np
import pytest

from benchmarks.grouped_probe import (
    ProbeSettings,
    best_of,
    fit_probe,
    group_interval,
    score_probes,
    split_groups,
)

WEAK, STRONG = ProbeSettings("standardised", 10.0), ProbeSettings("standardised", 0.001)


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """120 rows of two classes in twelve groups, each of which has a feature of its own."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(12), 10)
    labels = (groups % 2).astype(np.int32)
    own = np.eye(12)[groups] * 3
    signal = (labels * 2 - 1)[:, None] * 0.4 + rng.normal(0, 1, (120, 3))
    return np.concatenate([own, signal], axis=1).astype(np.float32), labels, groups


def test_splits_keep_groups_together_and_hold_out_each_row_once() -> None:
    _, labels, groups = draw()
    splits = split_groups(labels, groups)
    assert sorted(np.concatenate([held for _, held in splits])) == list(range(120))
    for train, held in splits:
        assert not set(groups[train]) & set(groups[held])
        assert set(labels[held]) == {0, 1}


def test_settings_are_scored_on_groups_that_were_not_trained_on() -> None:
    features, labels, groups = draw()
    seen = fit_probe(features, labels, WEAK).predict(features)
    assert (seen == labels).mean() == 1
    scores = score_probes(features, labels, split_groups(labels, groups), (WEAK, STRONG))
    assert max(scores.values()) < 0.9
    assert best_of(scores) in (WEAK, STRONG)
    assert best_of({WEAK: 0.5, STRONG: 0.5}) == WEAK


def test_vectors_of_length_one_forget_their_length() -> None:
    features, labels, _ = draw()
    settings = ProbeSettings("L2", 10.0)
    probe = fit_probe(features, labels, settings)
    np.testing.assert_array_equal(probe.predict(features), probe.predict(features * 7))


def test_the_interval_is_over_groups_and_not_over_tiles() -> None:
    values = np.repeat([1.0, 0.0, 1.0, 1.0, 0.0, 1.0], 50)
    by_group = group_interval(values, np.repeat(np.arange(6), 50))
    by_tile = group_interval(values, np.arange(300))
    assert by_group[0] < by_tile[0] < values.mean() < by_tile[1] < by_group[1]
    assert group_interval(values, np.zeros(300, int)) == pytest.approx((2 / 3, 2 / 3))
