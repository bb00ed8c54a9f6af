"""The mean difference over targets, and the targets that two encoders together predict."""

import itertools

import numpy as np
import pytest

from histo_ray.cohort.patient_folds import draw_shared_folds, draw_target_folds
from histo_ray.learn.statistics import adjust_p
from histo_ray.learn.targets.endpoint import compare_means, find_predictable, tabulate_endpoints
from histo_ray.learn.targets.target_scores import EncoderScores, score_encoder
from histo_ray.learn.targets.target_tests import test_difference as compare_folds
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

KINDS = [TargetKind.CONTINUOUS, TargetKind.BINARY]


def make_truth(kind: TargetKind, targets: int = 6, people: int = 90, seed: int = 0) -> TargetTruth:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(people, targets)) + rng.normal(size=(people, 1))
    names = tuple(f"G{n}" for n in range(targets))
    alone = [str(n) for n in range(people)]
    if kind is TargetKind.BINARY:
        values = (values > np.quantile(values, 0.7, axis=0)).astype(float)
        folds = draw_target_folds(values, names, 5, 4, 0, alone)
    else:
        folds = draw_shared_folds(values, 5, 4, 0, alone)
    return TargetTruth("t", names, values, folds.fold_ids, kind=kind)


def predict(truth: TargetTruth, signal: float, seed: int) -> EncoderScores:
    rng = np.random.default_rng(seed)
    same = rng.normal(size=truth.values.shape)
    noise = same + 0.3 * rng.normal(size=(truth.repeats, *truth.values.shape))
    return score_encoder(truth, signal * truth.values + noise, 200, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_that_of_the_targets_and_its_interval_belongs_to_its_p(
    kind: TargetKind,
) -> None:
    truth = make_truth(kind)
    for seed, signal in itertools.product(range(4), (0.5, 0.8, 1.5)):
        one, other = predict(truth, 0.5, seed), predict(truth, signal, seed + 100)
        mean = compare_means(truth, one, other)
        assert mean.targets == 6
        expected = np.nanmean(other.by_fold - one.by_fold, axis=(0, 1)).mean()
        assert mean.difference == pytest.approx(expected, abs=1e-9)
        assert mean.score_b - mean.score_a == pytest.approx(mean.difference)
        assert (mean.low + mean.high) / 2 == pytest.approx(mean.difference)
        assert (mean.p < 0.05) == (mean.low > 0 or mean.high < 0)


@pytest.mark.parametrize("kind", KINDS)
def test_of_one_target_it_is_the_test_of_that_target(kind: TargetKind) -> None:
    truth = make_truth(kind, targets=1)
    one, other = predict(truth, 0.5, 1), predict(truth, 1.0, 2)
    mean = compare_means(truth, one, other)
    alone = compare_folds(truth, other.by_fold - one.by_fold)
    assert (mean.p, mean.low, mean.high, mean.df) == pytest.approx(
        (alone.p[0], alone.low[0], alone.high[0], alone.df[0])
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_encoder_under_two_names_differs_by_nothing(kind: TargetKind) -> None:
    truth = make_truth(kind)
    same = predict(truth, 0.5, 1)
    mean = compare_means(truth, same, same)
    assert (mean.targets, mean.difference, mean.low, mean.high, mean.p) == (6, 0.0, 0.0, 0.0, 1.0)


def test_targets_that_are_copies_add_nothing_and_independent_ones_do() -> None:
    alone = make_truth(TargetKind.CONTINUOUS, targets=1)
    copies = TargetTruth(
        "t", tuple("abcdefgh"), np.repeat(alone.values, 8, 1), alone.fold_ids, kind=alone.kind
    )
    rng = np.random.default_rng(0)
    base = [rng.normal(size=(4, 90, 1)) + s * alone.values for s in (0.5, 0.8)]
    single, same = (
        compare_means(
            truth,
            score_encoder(truth, np.repeat(base[0], k, 2), 200, 0),
            score_encoder(truth, np.repeat(base[1], k, 2), 200, 0),
        )
        for truth, k in ((alone, 1), (copies, 8))
    )
    assert same.p == pytest.approx(single.p, rel=1e-6)
    one, other = (
        score_encoder(copies, s * copies.values + rng.normal(size=(4, 90, 8)), 200, 0)
        for s in (0.5, 0.8)
    )
    many = compare_means(copies, one, other)
    assert many.high - many.low < 0.6 * (same.high - same.low)


def test_few_groups_have_no_test_and_no_mean() -> None:
    truth = make_truth(TargetKind.CONTINUOUS)
    sites = tuple(f"S{n % 3}" for n in range(90))
    fold_ids = np.array([[n % 3 for n in range(90)]])
    few = TargetTruth("t", truth.targets, truth.values, fold_ids, sites, sites, kind=truth.kind)
    mean = compare_means(few, predict(few, 0.5, 0), predict(few, 1.0, 1))
    assert mean.targets == 0
    assert np.isnan(mean[1:]).all()


def test_targets_are_corrected_among_those_that_the_mean_of_both_predicts() -> None:
    truth = make_truth(TargetKind.CONTINUOUS, targets=8)
    strength = np.r_[np.full(4, 1.5), np.zeros(4)]
    rng = np.random.default_rng(3)
    one, other = (
        score_encoder(truth, s * strength * truth.values + rng.normal(size=(4, 90, 8)), 100, 0)
        for s in (0.7, 1.3)
    )
    p = compare_folds(truth, other.by_fold - one.by_fold).p
    found = find_predictable(truth, one, other, p)
    np.testing.assert_array_equal(found.q_both < 0.05, strength > 0)
    np.testing.assert_allclose(found.q_found[:4], adjust_p(p[:4]))
    assert np.isnan(found.q_found[4:]).all()
    swapped = find_predictable(truth, other, one, p)
    np.testing.assert_array_equal(swapped.p_both, found.p_both)


def test_where_labels_are_permuted_the_mean_of_both_is_held_against_theirs() -> None:
    truth = make_truth(TargetKind.CONTINUOUS, targets=2)
    rng = np.random.default_rng(5)
    null = rng.normal(0, 0.05, (1, 400))
    one, other = (
        score_encoder(truth, s * truth.values * [1, 0] + rng.normal(size=(4, 90, 2)), 100, 0, null)
        for s in (0.8, 1.0)
    )
    found = find_predictable(truth, one, other, np.array([0.01, 0.01]))
    assert found.p_both[0] < 0.01 < found.p_both[1]


def test_a_row_a_pair_and_holm_over_the_pairs() -> None:
    truth = make_truth(TargetKind.BINARY)
    scores = {
        name: predict(truth, s, n) for n, (name, s) in enumerate((("a", 0.5), ("b", 0.6), ("c", 2)))
    }
    table = tabulate_endpoints(truth, scores).to_pandas()
    assert (table["encoder_a"] + table["encoder_b"]).tolist() == ["ab", "ac", "bc"]
    assert (table["p_holm"] >= table["p"]).all()
    assert table["p_holm"].min() == pytest.approx(3 * table["p"].min())
    assert tabulate_endpoints(truth, {"a": scores["a"]}).num_rows == 0
