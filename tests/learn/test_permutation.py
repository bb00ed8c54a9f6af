from typing import Any

import numpy as np
import pytest
from scipy import stats

from histo_ray.learn.statistics import (
    chance_statistic,
    correlate_within,
    permutation_p,
    permute_targets,
    score_pearson,
    smooth_permutation_p,
)

RNG = np.random.default_rng(5)


def test_p_counts_the_observed_among_the_null() -> None:
    null = [0.1, 0.2, 0.2, 0.3, np.nan]
    np.testing.assert_allclose(
        permutation_p([0.0, 0.2, 0.25, 0.4, np.nan], null), [1, 0.8, 0.4, 0.2, np.nan]
    )


def test_p_is_scipys_for_a_correlation() -> None:
    x, y = RNG.normal(size=(2, 30))
    y += 0.3 * x

    def correlate(a: np.ndarray) -> float:
        return float(np.corrcoef(a, y)[0, 1])

    theirs = stats.permutation_test(
        (x,),
        correlate,
        permutation_type="pairings",
        n_resamples=999,
        alternative="greater",
        rng=np.random.default_rng(1),
        vectorized=False,
    )
    assert permutation_p(theirs.statistic, theirs.null_distribution)[0] == pytest.approx(
        theirs.pvalue
    )


def test_targets_may_have_nulls_of_their_own() -> None:
    null = np.array([[0.1, 5.0], [0.2, 6.0], [np.nan, 7.0]])
    np.testing.assert_allclose(permutation_p([0.15, 6.5], null), [2 / 3, 2 / 4])
    with pytest.raises(ValueError, match=r"null: \(3, 2\), must be \(B,\) or \(B, 3\)"):
        permutation_p([0.1, 0.2, 0.3], null)


def test_under_chance_p_is_below_a_level_no_more_often_than_it_says() -> None:
    p = np.concatenate(
        [permutation_p(RNG.normal(size=50), RNG.normal(size=199)) for _ in range(200)]
    )
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.01)


def test_the_smooth_tail_starts_where_the_null_ends_and_never_rises() -> None:
    null = RNG.normal(size=1000)
    seen = np.linspace(-1, 9, 400)
    smooth, plain = smooth_permutation_p(seen, null), permutation_p(seen, null)
    np.testing.assert_array_equal(smooth[seen < 1.5], plain[seen < 1.5])
    assert (np.diff(smooth) <= 0).all()
    assert (smooth > 0).all()
    assert smooth[-1] < 1e-8
    assert plain[-1] == 1 / 1001
    assert np.isnan(smooth_permutation_p([np.nan], null)).all()


def test_the_smooth_tail_is_exact_for_an_exponential_null() -> None:
    # P(p <= 1e-4) by the exponential distribution itself, averaged over nulls
    found = []
    for _ in range(400):
        null = RNG.exponential(size=1000)
        grid = np.linspace(0, 25, 4000)
        first = grid[np.argmax(smooth_permutation_p(grid, null) <= 1e-4)]
        found.append(stats.expon.sf(first))
    assert np.mean(found) == pytest.approx(1e-4, rel=0.2)


@pytest.mark.parametrize("null", [stats.norm, stats.logistic, stats.chi2(3), stats.uniform])
def test_the_smooth_tail_is_never_too_sure_of_a_lighter_one(null: Any) -> None:
    grid = null.isf(np.geomspace(1e-2, 1e-9, 2000))
    truly = null.sf(grid)
    found = []
    for seed in range(100):
        p = smooth_permutation_p(grid, null.rvs(size=1000, random_state=seed))
        found.append(
            [truly[np.argmax(p <= level)] if (p <= level).any() else 0 for level in (1e-3, 1e-5)]
        )
    assert np.mean(found, axis=0)[0] <= 1e-3 * 1.05
    assert np.mean(found, axis=0)[1] <= 1e-5 * 1.05


@pytest.mark.parametrize("null", [np.arange(60.0), np.repeat([0.0, 1.0], 500)])
def test_without_a_tail_there_is_nothing_to_smooth(null: np.ndarray) -> None:
    seen = np.array([-1.0, 0.5, 2.0, 100.0])
    np.testing.assert_array_equal(smooth_permutation_p(seen, null), permutation_p(seen, null))


def test_permuted_targets_keep_values_and_holes_of_their_source() -> None:
    targets = RNG.normal(size=(31, 4)) + np.arange(4) * 100
    targets[RNG.random((31, 4)) < 0.2] = np.nan
    permuted = permute_targets(targets, 50, seed=1)
    assert permuted.shape == (31, 50)
    sources = np.round(np.nanmean(permuted, axis=0) / 100).astype(int)
    assert set(sources) == {0, 1, 2, 3}
    np.testing.assert_array_equal(np.isnan(permuted), np.isnan(targets[:, sources]))
    np.testing.assert_array_equal(np.sort(permuted, axis=0), np.sort(targets[:, sources], axis=0))
    moved = permuted != targets[:, sources]
    assert moved[~np.isnan(permuted)].mean() > 0.9
    np.testing.assert_array_equal(permuted, permute_targets(targets, 50, seed=1))
    assert not np.array_equal(permuted, permute_targets(targets, 50, seed=2), equal_nan=True)


def test_labels_are_exchanged_within_sites_only() -> None:
    sites = np.array(["b", "a", "c"])[RNG.integers(0, 3, 40)]
    targets = RNG.normal(size=(40, 3))
    targets[4, :] = np.nan
    sites[4] = "a"
    permuted = permute_targets(targets, 30, seed=0, groups=sites.tolist())
    for site in "abc":
        rows = sites == site
        for column in range(30):
            inside = [set(t[~np.isnan(t)]) for t in targets[rows].T]
            assert set(permuted[rows, column][~np.isnan(permuted[rows, column])]) in inside
    assert np.isnan(permuted[4]).all()
    assert (permuted[:, 0] != permuted[:, 1]).any()


def test_the_statistic_is_the_mean_of_the_folds_correlations() -> None:
    truth, predicted = RNG.normal(size=(2, 37, 5))
    truth[3, 2] = np.nan
    parts = RNG.integers(-1, 3, 37)
    folds = [score_pearson(truth[parts == f], predicted[parts == f]) for f in range(3)]
    np.testing.assert_allclose(chance_statistic(truth, predicted, parts), np.mean(folds, axis=0))
    predicted[parts == 1, 4] = 0.5  # constant: no evidence
    found = chance_statistic(truth, predicted, parts)[4]
    assert found == pytest.approx((folds[0][4] + folds[2][4]) / 3)
    predicted[:, 4] = 0.5
    assert np.isnan(chance_statistic(truth, predicted, parts)).tolist() == [False] * 4 + [True]


def test_with_sites_the_statistic_is_about_each_sites_means() -> None:
    truth, predicted = RNG.normal(size=(2, 60, 4))
    parts, number = RNG.integers(0, 2, 60), RNG.integers(0, 5, 60)
    sites = [f"s{n}" for n in number]
    folds = [
        correlate_within(truth[parts == f], predicted[parts == f], number[parts == f])
        for f in range(2)
    ]
    found = chance_statistic(truth, predicted, parts, sites)
    np.testing.assert_allclose(found, np.mean(folds, axis=0))
    moved = chance_statistic(truth + 9.0 * number[:, None], predicted, parts, sites)
    np.testing.assert_allclose(moved, found)


def test_inside_folds_chance_is_zero_on_average_where_over_all_it_is_below() -> None:
    # predicted by the mean of the other folds, as a penalty without end does, and some noise
    inside, over_all = [], []
    parts = np.arange(50) % 5
    for _ in range(300):
        truth = RNG.normal(size=(50, 4))
        means = np.stack([truth[parts != f].mean(0) for f in range(5)])
        predicted = means[parts] + RNG.normal(size=(50, 4)) * 0.05
        inside.append(chance_statistic(truth, predicted, parts))
        over_all.append(score_pearson(truth, predicted))
    assert np.mean(inside) == pytest.approx(0, abs=0.02)
    assert np.mean(over_all) < -0.1
