"""Scores of groups by comparisons within folds."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from histo_ray.learn.statistics import delong_test, place_classes
from histo_ray.learn.statistics.within_fold import (
    FEWEST_CLUSTERS,
    area_ends,
    correlation_ends,
    measure_error,
    pool_auroc,
    pool_pearson,
    widen_error,
)


def test_of_one_fold_it_is_the_auroc_and_its_error_delongs() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([1.0, 0.0], [9, 14])
    predicted = (truth + rng.normal(size=23)).round(1)  # with ties
    found = pool_auroc(truth, predicted[None], np.zeros((1, 23), int))
    assert found.score == pytest.approx(roc_auc_score(truth, predicted))
    error = delong_test(place_classes(truth, predicted[None])).error
    assert measure_error(found.influence) == pytest.approx(error)
    assert found.influence.sum() == pytest.approx(0)


def test_pairs_of_different_folds_are_not_compared() -> None:
    truth = np.array([1.0, 0, 0, 1, 0, np.nan, 1])
    predicted = np.array([[0.9, 0.1, 0.2, 0.3, 0.8, 0.5, np.nan]])
    folds = np.array([[0, 0, 0, 1, 1, 1, 0]])  # 2 pairs right of fold 0, 1 pair wrong of fold 1
    assert pool_auroc(truth, predicted, folds).score == pytest.approx(2 / 3)
    shifted = predicted + 10 * folds  # another scale in another fold changes nothing
    assert pool_auroc(truth, shifted, folds).score == pytest.approx(2 / 3)
    apart = np.where(truth > 0, 0, 1)[None]
    assert np.isnan(pool_auroc(truth, predicted, apart).score)


def test_pairs_are_pooled_over_repeats_and_ties_count_half() -> None:
    truth = np.array([1.0, 0, 1, 0])
    predicted = np.array([[0.5, 0.5, 0.7, 0.1], [0.2, 0.3, 0.7, 0.1]])
    folds = np.array([[0, 0, 1, 1], [0, 0, 0, -1]])
    # repeat 0: a tie (1/2 of 1) and 1 of 1; repeat 1: 0 of 1 and 1 of 1, as the last is in no fold
    assert pool_auroc(truth, predicted, folds).score == pytest.approx(2.5 / 4)


def test_of_one_fold_and_group_it_is_pearsons_correlation() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.normal(size=(2, 19, 2))
    predicted[:, 0] += truth[:, 0]
    score, influence = pool_pearson(
        truth, predicted[None], np.zeros((1, 19), int), np.zeros(19, int)
    )
    for target in range(2):
        known = stats.pearsonr(truth[:, target], predicted[:, target]).statistic
        assert score[0, target] == pytest.approx(known)
    assert np.abs(influence.sum(0)).max() < 1e-12


def test_correlation_is_about_the_means_of_a_groups_patients_in_a_fold() -> None:
    truth = np.array([1.0, 2, 4, 1, 3, 9, 5])[:, None]
    predicted = np.array([[10.0, 12, 13, 7, 9, 1, 2]])[:, :, None]
    folds = np.array([[0, 0, 0, 1, 1, 1, -1]])
    groups = np.array([0, 0, 0, 0, 0, 1, 0])  # alone in its fold; the last is in no fold
    score, influence = pool_pearson(truth, predicted, folds, groups)
    scale = [np.std([10, 12, 13]), np.std([7, 9, 1])]  # of all predictions of the fold
    a = np.array([1 - 7 / 3, 2 - 7 / 3, 4 - 7 / 3, -1, 1])
    b = np.array([(10 - 35 / 3), (12 - 35 / 3), (13 - 35 / 3)]) / scale[0]
    b = np.concatenate([b, np.array([-1.0, 1.0]) / scale[1]])
    assert score[0, 0] == pytest.approx((a @ b) / np.sqrt((a @ a) * (b @ b)))
    assert np.isnan(score[1, 0])
    assert influence[5:, 0].tolist() == [0, 0]


def test_the_error_of_a_correlation_is_that_of_the_jackknife() -> None:
    rng = np.random.default_rng(4)
    truth, folds = rng.normal(size=(26, 1)), np.stack([rng.permutation(26) % 4 for _ in range(2)])
    truth[3] = np.nan
    predicted = np.nan_to_num(truth)[None] + rng.normal(size=(2, 26, 1))
    groups = np.repeat([0, 1], [17, 9])
    _, influence = pool_pearson(truth, predicted, folds, groups)
    left_out = []
    for patient in np.flatnonzero((groups == 0) & ~np.isnan(truth[:, 0])):
        without = groups.copy()
        without[patient] = -1  # its prediction still counts for the scale of its fold
        left_out.append(pool_pearson(truth, predicted, folds, without)[0][0, 0])
    count = len(left_out)
    known = np.sqrt((count - 1) / count * ((left_out - np.mean(left_out)) ** 2).sum())
    assert measure_error(influence[groups == 0, 0]) == pytest.approx(known)


def test_a_fold_that_is_predicted_alike_and_missing_values_do_not_count() -> None:
    truth = np.array([1.0, 2, 3, 5, 1, 2, np.nan])[:, None]
    predicted = np.array([[0.1, 0.3, 0.2, 0.7, 0.4, 0.4, 0.4]])[:, :, None]
    folds = np.array([[0, 0, 0, 0, 1, 1, 1]])
    score, _ = pool_pearson(truth, predicted, folds, np.zeros(7, int))
    assert score[0, 0] == pytest.approx(np.corrcoef(truth[:4, 0], predicted[0, :4, 0])[0, 1])


def test_patients_that_are_kept_together_count_as_one() -> None:
    influence = np.array([0.1, 0.1, -0.2, 0.05, -0.05, 0.2, -0.1, -0.1])
    whole = np.array([0, 0, 1, 2, 3, 4, 5, 5])
    sums = np.array([0.2, -0.2, 0.05, -0.05, 0.2, -0.2])
    assert measure_error(influence, whole) == pytest.approx(np.sqrt((sums**2).sum() * 6 / 5))
    assert measure_error(influence, np.zeros(8, int)) == measure_error(influence)
    few = np.arange(8) % (FEWEST_CLUSTERS - 1)
    assert np.isnan(measure_error(influence, few))


def test_intervals_are_wider_the_larger_the_group() -> None:
    assert widen_error(0.1, 1.0) == pytest.approx(0.1 * np.sqrt(2))
    small, large = (area_ends(0.8, 0.05, (20, 30), share) for share in (0.1, 1.0))
    assert large.low < small.low < 0.8 < small.high < large.high < 1
    away = stats.norm.ppf(0.975) * 0.05 * np.sqrt(2) / (0.8 * 0.2)
    assert large.high == pytest.approx(1 / (1 + np.exp(-(np.log(4) + away))))
    perfect = area_ends(1.0, 0.0, (12, 17), 0.5)
    assert 0.7 < perfect.low < 1.0 == perfect.high
    r = correlation_ends(0.5, 0.1, 40, 0.0)
    reach = stats.t.ppf(0.975, 38) * 0.1 / 0.75
    assert (r.low, r.high) == pytest.approx(
        tuple(np.tanh(np.arctanh(0.5) + np.array([-reach, reach])))
    )
    assert np.isnan(area_ends(0.8, np.nan, (20, 30), 0.1).low)
