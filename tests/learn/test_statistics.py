import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from histo_ray.learn.statistics import (
    adjust_p,
    bootstrap_difference,
    corrected_t_test,
    plain_t_test,
    score_pearson,
)
from testing.null_comparisons import rejection_rates, simulate_null

RNG = np.random.default_rng(7)


def test_the_plain_test_is_scipys() -> None:
    differences = RNG.normal(0.1, 1, (3, 4, 25))
    ours = plain_t_test(differences)
    theirs = stats.ttest_1samp(differences, 0, axis=-1)
    interval = theirs.confidence_interval(0.95)
    np.testing.assert_allclose(ours.statistic, theirs.statistic)
    np.testing.assert_allclose(ours.p, theirs.pvalue)
    np.testing.assert_allclose(ours.low, interval.low)
    np.testing.assert_allclose(ours.high, interval.high)


def test_the_corrected_test_gives_the_worked_number() -> None:
    # mean 0.02, var 0.001 / 3 by hand; 5 folds of 80 and 20 rows: (1/4 + 20/80) * var = 1/6000
    found = corrected_t_test([0.0, 0.04, 0.01, 0.03], n_train=80, n_test=20)
    assert found.difference == pytest.approx(0.02)
    assert found.statistic == pytest.approx(0.02 * np.sqrt(6000))
    assert found.p == pytest.approx(2 * stats.t.sf(0.02 * np.sqrt(6000), 3))
    reach = stats.t.ppf(0.975, 3) / np.sqrt(6000)
    assert found.low == pytest.approx(0.02 - reach)
    assert found.high == pytest.approx(0.02 + reach)


def test_for_repeated_five_folds_the_correction_widens_by_the_published_factor() -> None:
    differences = RNG.normal(0.02, 0.05, 250)
    corrected = corrected_t_test(differences, n_train=800, n_test=200)
    plain = plain_t_test(differences)
    assert plain.statistic / corrected.statistic == pytest.approx(np.sqrt((1 / 250 + 0.25) * 250))


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0), (-0.1, 0.0)])
def test_constant_differences_have_p_of_one_or_zero(value: float, p: float) -> None:
    for found in (corrected_t_test([value] * 10, 8, 2), plain_t_test([value] * 10)):
        assert found.p == p
        assert found.low == found.high == pytest.approx(value)


def test_a_one_sided_test_is_scipys_and_asks_for_above_zero() -> None:
    differences = RNG.normal(0.1, 1, (3, 25))
    ours = plain_t_test(differences, alternative="greater")
    theirs = stats.ttest_1samp(differences, 0, axis=-1, alternative="greater")
    np.testing.assert_allclose(ours.p, theirs.pvalue)
    corrected = corrected_t_test([0.0, 0.04, 0.01, 0.03], 80, 20, alternative="greater")
    assert corrected.p == pytest.approx(stats.t.sf(0.02 * np.sqrt(6000), 3))
    assert corrected_t_test([-0.1] * 4, 8, 2, alternative="greater").p == 1.0
    assert corrected_t_test([0.0] * 4, 8, 2, alternative="greater").p == 1.0
    assert corrected_t_test([0.1] * 4, 8, 2, alternative="greater").p == 0.0


def test_the_correlation_under_chance_widens_by_the_number_of_pairs() -> None:
    # five folds: c = 2 * 0.8 * 0.2 = 0.32, and c / (1 - c) = 8 / 17 in place of 1 / 4
    differences = RNG.normal(0.02, 0.05, 250)
    chance = corrected_t_test(differences, 800, 200, correlation="chance")
    plain = plain_t_test(differences)
    assert plain.statistic / chance.statistic == pytest.approx(np.sqrt((1 / 250 + 8 / 17) * 250))


def test_of_chance_alone_only_that_correlation_holds_the_level() -> None:
    # the limit of ridge regression: label x kernel x label over pairs of judged and trained rows
    rng = np.random.default_rng(2)
    labels = rng.normal(size=(100, 1500))
    features = rng.normal(size=(100, 12))
    scores = []
    for _ in range(12):
        parts = rng.permutation(np.arange(100) % 5)
        for fold in range(5):
            train, judged = parts != fold, parts == fold
            predicted = features[judged] @ (features[train].T @ labels[train])
            scores.append(score_pearson(labels[judged], predicted))
    folds = np.stack(scores, axis=1)
    theirs, ours = (
        corrected_t_test(folds, 80, 20, alternative="greater", correlation=name).p
        for name in ("training", "chance")
    )
    assert (ours < 0.05).mean() == pytest.approx(0.05, abs=0.015)
    assert (theirs < 0.05).mean() > 0.08


def test_folds_without_a_score_do_not_count() -> None:
    whole = RNG.normal(0.1, 1, (4, 7))
    holes = np.full((4, 10), np.nan)
    holes[:, [0, 2, 3, 5, 6, 8, 9]] = whole
    holes[3, 1:] = np.nan  # one score alone says nothing
    train, test = np.array([8.0, 9, 10, 11]), np.array([2.0, 3, 4, 5])
    found = corrected_t_test(holes, train, test)
    for row in range(3):
        alone = corrected_t_test(whole[row], train[row], test[row])
        assert found.p[row] == pytest.approx(float(alone.p))
        assert found.low[row] == pytest.approx(float(alone.low))
    assert np.isnan([found.p[3], found.difference[3], found.high[3]]).all()


def test_too_few_folds_or_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="1 folds, a test needs 2"):
        plain_t_test([0.1])
    with pytest.raises(ValueError, match="n_test 0"):
        corrected_t_test([0.1, 0.2], 10, 0)


def test_the_row_bootstrap_agrees_with_scipys() -> None:
    values = RNG.choice([-1.0, 0.0, 1.0], 400, p=[0.1, 0.6, 0.3])
    ours = bootstrap_difference(values, resamples=20_000, seed=1)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.estimate == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.004)
    assert ours.high == pytest.approx(theirs.high, abs=0.004)


def test_the_group_bootstrap_is_that_of_drawing_whole_groups() -> None:
    groups = np.repeat([f"p{n}" for n in range(30)], RNG.integers(3, 40, 30))
    effect = dict(zip(np.unique(groups), RNG.normal(0, 1, 30), strict=True))
    values = np.array([effect[group] for group in groups]) + RNG.normal(0, 0.1, len(groups))
    ours = bootstrap_difference(values, groups=groups, resamples=20_000)
    names = np.unique(groups)
    plain = []
    for _ in range(4000):
        rows = [np.flatnonzero(groups == name) for name in RNG.choice(names, len(names))]
        plain.append(values[np.concatenate(rows)].mean())
    assert ours.low == pytest.approx(np.quantile(plain, 0.025), abs=0.03)
    assert ours.high == pytest.approx(np.quantile(plain, 0.975), abs=0.03)
    rows_alone = bootstrap_difference(values, resamples=2000)
    assert ours.high - ours.low > 3 * (rows_alone.high - rows_alone.low)


def test_with_classes_each_class_weighs_the_same() -> None:
    classes = np.array(["rare"] * 10 + ["common"] * 990)
    values = np.where(classes == "rare", 1.0, 0.0)
    assert bootstrap_difference(values).estimate == pytest.approx(0.01)
    balanced = bootstrap_difference(values, classes=classes)
    assert (balanced.estimate, balanced.low, balanced.high) == (0.5, 0.5, 0.5)


@settings(max_examples=30)
@given(seed=st.integers(0, 999), count=st.integers(1, 60))
def test_an_interval_holds_what_can_be_drawn_and_is_the_same_again(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(size=count)
    first = bootstrap_difference(values, resamples=200, seed=seed)
    assert first == bootstrap_difference(values, resamples=200, seed=seed)
    assert values.min() - 1e-12 <= first.low <= first.high <= values.max() + 1e-12


def test_q_values_are_those_of_statsmodels_and_skip_nan() -> None:
    p = RNG.uniform(0, 1, 40) ** 3
    theirs = multipletests(p, method="fdr_bh")[1]
    np.testing.assert_allclose(adjust_p(p), theirs)
    holes = np.insert(p, [0, 17, 40], np.nan)
    found = adjust_p(holes)
    np.testing.assert_allclose(found[~np.isnan(holes)], theirs)
    assert np.isnan(found[np.isnan(holes)]).all()


@pytest.mark.slow
def test_the_corrected_test_holds_its_level_where_the_plain_one_does_not() -> None:
    rates = rejection_rates(simulate_null(1000), n_folds=5)
    assert rates["corrected"] <= 0.07
    assert rates["plain"] > 0.5
