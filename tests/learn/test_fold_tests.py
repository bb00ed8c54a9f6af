"""Tests over folds of few independent units: sites, and few patients of a class."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from histo_ray.learn.statistics import (
    DECIDED,
    corrected_t_test,
    count_covariance,
    count_orders,
    flag_folds,
    fold_t_test,
    label_covariance,
)
from histo_ray.learn.targets.fold_support import count_support
from histo_ray.learn.targets.target_tests import (
    degrees_of_freedom,
    test_above_chance,
    test_difference,
)
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind
from testing.random_cohorts import Design, simulate, summarise

Floats = npt.NDArray[np.float64]
ONE_SPLIT = np.repeat(np.arange(5), 4)[None]
"""Five sites of four patients in five folds: there is no other way."""


def draw_parts(sites: int, size: int, n_folds: int, repeats: int) -> npt.NDArray[np.integer]:
    rng = np.random.default_rng(3)
    drawn = [rng.permutation(np.arange(sites) % n_folds) for _ in range(repeats)]
    return np.repeat(np.stack(drawn), size, axis=1)


def test_the_covariance_is_that_of_simulated_scores() -> None:
    # sums of label x kernel x label over the lengths of labels and predictions
    parts = draw_parts(6, 5, 3, 2)
    tested = flag_folds(parts, 3)
    rng = np.random.default_rng(0)
    scores = np.empty((4000, len(tested)))
    for number in range(len(scores)):
        labels, features = rng.normal(size=30), rng.normal(size=(30, 60))
        for fold, test in enumerate(tested):
            weights = features[~test].T @ (labels[~test] - labels[~test].mean())
            predicted = features[test] @ weights
            scores[number, fold] = np.corrcoef(labels[test], predicted)[0, 1]
    expected, found = np.corrcoef(scores.T), count_covariance(tested)
    scale = np.sqrt(found.diagonal())
    np.testing.assert_allclose(found / scale / scale[:, None], expected, atol=0.05)


def test_given_the_labels_it_is_the_pairs_of_rare_patients_that_decide() -> None:
    # three positives, one a fold: folds that test the same one are nearly the same fold
    rng = np.random.default_rng(1)
    labels = np.zeros(60)
    labels[:3] = 1
    parts = np.stack([np.r_[[0, 1, 2], rng.permutation(np.arange(57) % 3)] for _ in range(2)])
    tested = flag_folds(parts, 3)
    found = label_covariance(tested, labels)
    same, other = found[0, 3] / found[0, 0], found[0, 4] / found[0, 0]
    assert same > 0.85
    assert other == pytest.approx(0.5, abs=0.1)
    assert count_covariance(tested)[0, 3] / count_covariance(tested)[0, 0] < 0.6


def test_weights_count_rows_of_groups() -> None:
    parts = draw_parts(6, 5, 3, 2)
    of_rows = count_covariance(flag_folds(parts, 3))
    of_groups = count_covariance(flag_folds(parts[:, ::5], 3), np.full(6, 5.0))
    np.testing.assert_allclose(of_groups, of_rows)


def test_a_split_that_is_given_twice_changes_nothing() -> None:
    scores = np.random.default_rng(2).normal(0.1, 0.1, 5)
    once = fold_t_test(scores, count_covariance(flag_folds(ONE_SPLIT, 5)), 5)
    twice = fold_t_test(
        np.tile(scores, 3), count_covariance(flag_folds(np.tile(ONE_SPLIT, (3, 1)), 5)), 5
    )
    assert once.df == pytest.approx(4)
    assert twice.df == pytest.approx(4)
    assert twice.p == pytest.approx(float(once.p))
    assert corrected_t_test(np.tile(scores, 3), 16, 4).p < once.p


def test_one_split_is_students_test_widened_by_what_folds_share() -> None:
    # of one split of F equal folds the correlation is 1 / (F - 1) in the limit of many rows
    parts = np.repeat(np.arange(5), 4000)[None]
    scores = np.array([0.1, 0.3, 0.2, 0.0, 0.1])
    found = fold_t_test(scores, count_covariance(flag_folds(parts, 5)), 5, alternative="greater")
    t = scores.mean() / np.sqrt(scores.var(ddof=1) * (1 / 5 + (1 / 4) / (1 - 1 / 4)))
    assert found.p == pytest.approx(stats.t.sf(t, 4), rel=1e-3)
    assert fold_t_test(scores, count_covariance(flag_folds(parts, 5)), 5).p == pytest.approx(
        2 * stats.t.sf(t, 4), rel=1e-3
    )


def test_two_halves_have_in_common_what_their_lengths_leave() -> None:
    # each trains on the other: their sums are equal, and the cosines of 2 entries vary on their own
    halves = flag_folds(np.array([[0, 0, 0, 1, 1, 1]]), 2)
    lengths = (np.pi / 4) ** 2

    def correlate(covariance: Floats) -> float:
        return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))

    assert correlate(count_covariance(halves)) == pytest.approx(lengths)
    assert correlate(count_covariance(halves, None, DECIDED)) == pytest.approx(lengths * 2 / np.pi)
    classes = np.array([0.0, 0, 1, 0, 1, 1])
    assert correlate(label_covariance(halves, classes)) == pytest.approx(lengths * 3 / np.pi)
    twice = flag_folds(np.array([[0, 0, 0, 1, 1, 1]] * 2), 2)
    assert label_covariance(twice, classes)[0, 2] == pytest.approx(
        float(label_covariance(twice, classes)[0, 0])
    )


def test_a_constant_added_to_labels_changes_no_covariance() -> None:
    tested = flag_folds(draw_parts(6, 5, 3, 2), 3)
    labels = (np.arange(30) % 4 == 0).astype(float)
    np.testing.assert_allclose(
        label_covariance(tested, labels + 7), label_covariance(tested, labels)
    )


def test_degrees_of_freedom_are_those_of_the_sample_variance() -> None:
    scores = np.random.default_rng(0).normal(size=60)
    assert fold_t_test(scores, np.eye(60), 8).df == pytest.approx(59)
    assert fold_t_test(scores, np.eye(60) + 0.5, 8).df == pytest.approx(59)
    covariance = count_covariance(flag_folds(draw_parts(8, 5, 3, 20), 3))
    assert 7 < fold_t_test(scores, covariance, 8).df < 20
    drawn = np.random.default_rng(1).multivariate_normal(np.zeros(60), covariance, 20000)
    spread = drawn.var(1, ddof=1)
    assert fold_t_test(scores, covariance, 8).df == pytest.approx(
        2 * spread.mean() ** 2 / spread.var(), rel=0.1
    )


def test_too_few_units_or_no_variance_give_no_p() -> None:
    covariance = count_covariance(flag_folds(ONE_SPLIT, 5))
    scores = np.array([0.1, 0.3, 0.2, 0.0, 0.1])
    few = fold_t_test(scores, covariance, 4)
    assert np.isnan([few.p, few.low, few.high, few.df]).all()
    assert few.difference == pytest.approx(scores.mean())
    same = fold_t_test(np.full(5, 0.5), covariance, 5)
    assert same.difference == 0.5
    assert np.isnan([same.p, same.low]).all()
    assert fold_t_test(np.zeros(5), covariance, 5).p == 1
    known = fold_t_test(np.full(5, 0.5), covariance, 5, alternative="greater", null_variance=1 / 12)
    t = 0.5 / np.sqrt(covariance.mean() / 12)
    assert known.p == pytest.approx(stats.t.sf(t, 4))


@pytest.mark.parametrize(("scores", "size"), [([0.1], 1), ([0.1, np.nan], 2), ([0.1, 0.2, 0.3], 2)])
def test_scores_that_do_not_fit_their_covariance_are_refused(
    scores: list[float], size: int
) -> None:
    with pytest.raises(ValueError, match="two or more folds without"):
        fold_t_test(scores, np.eye(size), 9)


def test_units_are_groups_that_have_the_rarer_class() -> None:
    groups = [f"S{number % 6}" for number in range(24)]
    values = np.zeros((24, 3))
    values[:6, 0] = 1  # one of each site
    values[[0, 6, 12, 1], 1] = 1  # at two sites, three of them at one
    values[:, 2] = 1
    values[2, 2] = np.nan
    values[3, 2] = 0
    parts = np.zeros((3, 2, 24), int)
    parts[1, 1] = -1
    found = count_support(values, parts, groups, classes=True)
    assert found.units.tolist() == [6, 2, 1]
    assert found.effective.tolist() == pytest.approx([6, 16 / 10, 1])
    assert found.splits.tolist() == [2, 1, 2]
    assert found.complete.tolist() == [True, False, True]
    alone = count_support(values, parts, None, classes=True)
    assert alone.units.tolist() == [6, 4, 1]
    assert count_support(values, parts[0], groups, classes=False).units.tolist() == [6, 6, 6]


def truth_of(patients: int, groups: tuple[str, ...] | None, positives: int) -> TargetTruth:
    values = np.zeros((patients, 1))
    values[:positives] = 1
    parts = np.stack([np.random.default_rng(r).permutation(patients) % 5 for r in range(3)])
    return TargetTruth("mutation", ("G",), values, parts, groups, groups, kind=TargetKind.BINARY)


def test_many_patients_that_are_each_alone_are_tested_as_before() -> None:
    truth = truth_of(60, None, 20)
    scores = np.random.default_rng(0).normal(0.1, 0.2, (3, 5, 1))
    assert not truth.support.few.any()
    found = test_above_chance(truth, scores)
    plain = corrected_t_test(
        scores[..., 0].ravel(), 48, 12, alternative="greater", correlation="chance"
    )
    assert found.p[0] == plain.p
    assert found.df[0] == 14
    for other in (truth_of(60, None, 9), truth_of(60, tuple("abcdef" * 10), 20)):
        assert other.support.few.all()
        assert test_difference(other, scores).p[0] != test_difference(truth, scores).p[0]


def test_a_repeat_that_a_target_lacks_does_not_count() -> None:
    truth = truth_of(60, tuple("abcdefghij" * 6), 30)
    own = np.repeat(np.arange(10) % 5, 6)[None].repeat(3, 0)[None]
    own[0, 1:] = -1
    scores = np.full((3, 5, 1), np.nan)
    scores[0, :, 0] = [0.1, 0.3, 0.2, 0.0, 0.1]
    lacking = TargetTruth(
        "mutation", ("G",), truth.values, own, truth.sites, truth.groups, kind=TargetKind.BINARY
    )
    whole = TargetTruth(
        "mutation",
        ("G",),
        truth.values,
        own[:, :1],
        truth.sites,
        truth.groups,
        kind=TargetKind.BINARY,
    )
    found, expected = test_difference(lacking, scores), test_difference(whole, scores[:1])
    assert found.p[0] == pytest.approx(expected.p[0])
    assert degrees_of_freedom(lacking)[0] == pytest.approx(expected.df[0])


def test_orders_of_labels_are_counted_within_groups_and_without_ties() -> None:
    values = np.array([[1.0, 1], [2, 1], [3, 2], [4, 2], [5, np.nan]])
    np.testing.assert_allclose(np.exp(count_orders(values)), [120, 6])
    within = count_orders(values, ["a", "a", "b", "b", "b"])
    np.testing.assert_allclose(np.exp(within), [12, 1])


@pytest.mark.parametrize("task", ["expression", "expression, t-test", "mutation", "tissue"])
def test_noise_at_few_sites_is_no_discovery_and_fewer_than_five_get_no_p(task: str) -> None:
    few = summarise(simulate(Design(task, 3, 3, targets=10, cohorts=1, repeats=2)))
    assert few["splits"] == 1
    assert few["difference_given"] == 0
    assert few["chance_given"] == (20 if task == "expression" else 0)
    some = summarise(simulate(Design(task, 5, 5, targets=30, cohorts=2, repeats=3)))
    assert some["splits"] == 1
    assert some["difference_share"] < 0.12
    assert some["difference_found"] + some["chance_found"] <= 1
    if task != "tissue":
        assert some["df"] <= 4 + 1e-9
        assert some["chance_share"] < 0.1


@pytest.mark.parametrize("task", ["expression, t-test", "mutation"])
def test_a_real_signal_at_twenty_sites_still_has_a_small_p(task: str) -> None:
    design = Design(task, 20, 5, targets=10, cohorts=1, repeats=3, patients=160, strength=0.6)
    found = simulate(design)
    assert np.median(found.chance[0]) < 1e-3
    assert np.median(found.difference[0]) < 0.01
