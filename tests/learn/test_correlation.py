import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from histo_ray.learn.statistics import (
    Resampled,
    bootstrap_correlation,
    correlate_within,
    draw_weights,
    score_pearson,
    score_r2,
    score_spearman,
)
from histo_ray.learn.statistics.correlation import mean_defined, rank_columns

RNG = np.random.default_rng(11)
P, T, R = 47, 9, 3


def table(holes: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of three repeats, related; some with ties or missing values."""
    truth = RNG.normal(size=(P, T))
    predicted = truth * np.linspace(-0.5, 1, T) + RNG.normal(size=(R, P, T)) + 40
    truth[:, 1] = np.round(truth[:, 1])
    predicted[:, :, 2] = np.round(predicted[:, :, 2])
    if holes:
        truth[RNG.random((P, T)) < 0.1] = np.nan
        predicted[:, RNG.random((P, T)) < 0.05] = np.nan
        predicted[1, :4, 5] = np.nan  # in one repeat only
    return truth, predicted


def both(truth: np.ndarray, predicted: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    kept = ~(np.isnan(truth[:, target]) | np.isnan(predicted[:, target]))
    return truth[kept, target], predicted[kept, target]


@pytest.mark.parametrize("holes", [False, True])
def test_correlations_are_scipys_target_by_target(holes: bool) -> None:
    truth, predicted = table(holes)
    pearson, spearman = score_pearson(truth, predicted[1]), score_spearman(truth, predicted[1])
    for target in range(T):
        pair = both(truth, predicted[1], target)
        assert pearson[target] == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-12)
        assert spearman[target] == pytest.approx(stats.spearmanr(*pair).statistic, abs=1e-12)


def test_ranks_are_scipys_with_ties_and_infinity_and_skip_nan() -> None:
    values = RNG.integers(0, 9, (P, T)).astype(float)
    values[3, :] = np.inf
    values[5, 1:4] = np.nan
    values[:, 0] = RNG.normal(size=P)
    for target in range(T):
        theirs = stats.rankdata(values[:, target], nan_policy="omit")
        np.testing.assert_array_equal(rank_columns(values)[:, target], theirs)


def test_what_is_constant_or_alone_has_no_correlation() -> None:
    truth, predicted = table()
    rounded = [c for c in RNG.random(500) if np.full((P, 1), c).mean(0)[0] != c]  # mean is off
    truth[:, 0] = rounded[0]
    predicted[0][:, 1] = rounded[1]
    truth[1:, 2] = np.nan
    truth[:, 3] = np.nan
    for score in (score_pearson, score_spearman):
        assert np.isnan(score(truth, predicted[0])).tolist() == [True] * 4 + [False] * 5


def test_swapped_axes_are_refused() -> None:
    truth, predicted = table()
    with pytest.raises(ValueError, match=r"truth \(47, 9\), predicted \(9, 47\)"):
        score_pearson(truth, predicted[0].T)


@pytest.mark.parametrize("holes", [False, True])
def test_r2_about_the_own_mean_is_scikit_learns(holes: bool) -> None:
    truth, predicted = table(holes)
    predicted -= 40
    for target in range(T):
        pair = both(truth, predicted[0], target)
        found = score_r2(truth, predicted[0], np.full(T, pair[0].mean()))
        assert found[target] == pytest.approx(r2_score(*pair))


def test_r2_of_guessing_the_training_mean_is_zero() -> None:
    truth, _ = table(holes=True)
    means = RNG.normal(size=T)
    assert score_r2(truth, np.broadcast_to(means, (P, T)), means).tolist() == [0.0] * T
    of_folds = np.where(np.arange(P)[:, None] < 20, means, -means)
    assert score_r2(truth, of_folds, of_folds).tolist() == [0.0] * T


def test_the_correlation_within_strata_is_that_of_what_their_means_leave() -> None:
    truth, predicted = table(holes=True)
    strata = RNG.integers(0, 4, P)
    strata[:3] = -1
    plain = score_pearson(truth[3:], predicted[0][3:])
    shifted = predicted[0] + 100 * strata[:, None]
    found = correlate_within(truth, shifted, strata)
    for target in range(T):
        kept = np.flatnonzero(
            ~np.isnan(truth[:, target]) & ~np.isnan(shifted[:, target]) & (strata >= 0)
        )
        dummies = (strata[kept, None] == np.arange(4)).astype(float)
        left = [
            values - dummies @ np.linalg.lstsq(dummies, values, rcond=None)[0]
            for values in (truth[kept, target], shifted[kept, target])
        ]
        assert found[target] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)
    assert not np.allclose(found, plain)
    one = np.zeros(P, int)
    np.testing.assert_allclose(
        correlate_within(truth, predicted[0], one), score_pearson(truth, predicted[0])
    )


def test_the_score_is_the_mean_over_repeats_that_have_one() -> None:
    truth, predicted = table()
    predicted[2][:, 4] = 1.0
    predicted[:, :, 5] = 1.0
    found = bootstrap_correlation(truth, predicted, resamples=3).score
    assert found[4] == pytest.approx(
        score_pearson(truth, predicted[0])[4] / 2 + score_pearson(truth, predicted[1])[4] / 2
    )
    assert np.isnan(found).tolist() == [False] * 5 + [True] + [False] * 3


def score_plainly(truth: np.ndarray, predicted: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Mean over repeats and folds of `score_pearson` within a fold."""
    return mean_defined(
        np.stack(
            [
                score_pearson(truth[own == fold], repeat[own == fold])
                for repeat, own in zip(predicted, parts, strict=True)
                for fold in range(parts.max() + 1)
            ]
        )
    )


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("n_folds", [1, 3])
def test_a_resample_is_the_score_of_the_patients_drawn(holes: bool, n_folds: int) -> None:
    truth, predicted = table(holes)
    parts = np.random.default_rng(6).integers(0, n_folds, (len(predicted), P))
    parts[0, 1] = -1
    given = predicted.astype(np.float32)
    found = bootstrap_correlation(truth, given, resamples=40, seed=5, fold_ids=parts)
    np.testing.assert_allclose(found.score, score_plainly(truth, predicted, parts), atol=1e-6)
    weights = draw_weights(P, 40, seed=5)
    for number in range(40):
        rows = np.repeat(np.arange(P), weights[number].astype(int))
        plain = score_plainly(truth[rows], predicted[:, rows], parts[:, rows])
        np.testing.assert_allclose(found.draws[number], plain, atol=2e-5)


def test_a_guess_scores_zero_on_average_within_folds_and_less_over_all_of_them() -> None:
    rng = np.random.default_rng(0)
    truth, parts = rng.normal(size=(40, 300)), rng.permutation(np.arange(40) % 5)[None]
    means = np.stack([truth[parts[0] != fold].mean(0) for fold in range(5)])
    guess = means[parts] + rng.normal(size=(1, 40, 300)) * 0.05
    within = bootstrap_correlation(truth, guess, resamples=2, fold_ids=parts).score
    assert abs(within.mean()) < 4 * within.std() / np.sqrt(300)
    assert bootstrap_correlation(truth, guess, resamples=2).score.mean() < -0.2


def test_blocks_of_targets_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = table(holes=True)
    whole = bootstrap_correlation(truth, predicted, resamples=30)
    monkeypatch.setattr("histo_ray.learn.statistics.correlation_bootstrap._CELLS", 60)
    np.testing.assert_allclose(
        bootstrap_correlation(truth, predicted, resamples=30).draws, whole.draws, atol=1e-6
    )


def test_the_interval_agrees_with_scipys_bootstrap() -> None:
    truth, predicted = table()
    low, high = bootstrap_correlation(truth, predicted[:1], resamples=6000, seed=1).interval()
    theirs = stats.bootstrap(
        (truth[:, 7], predicted[0][:, 7]),
        lambda a, b, axis: np.asarray(stats.pearsonr(a, b, axis=axis).statistic),
        paired=True,
        method="percentile",
        n_resamples=6000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert low[7] == pytest.approx(theirs.low, abs=0.02)
    assert high[7] == pytest.approx(theirs.high, abs=0.02)


def test_two_encoders_share_their_resamples() -> None:
    truth, predicted = table()
    better = predicted + 0.5 * truth
    one, other = (bootstrap_correlation(truth, p, 400, seed=2) for p in (predicted, better))
    difference = other.minus(one)
    low, high = difference.interval()
    np.testing.assert_allclose(difference.score, other.score - one.score)
    unpaired = other.minus(bootstrap_correlation(truth, predicted, 400, seed=3)).interval()
    assert (high - low < unpaired[1] - unpaired[0])[3:].all()
    assert np.ptp(one.minus(one).draws) == 0
    with pytest.raises(ValueError, match="must be the same resamples"):
        one.minus(bootstrap_correlation(truth, predicted, 10))


def test_an_interval_leaves_out_what_is_undefined() -> None:
    draws = RNG.normal(size=(200, 3))
    draws[:20, 1] = np.nan
    draws[:, 2] = np.nan
    low, high = Resampled(np.zeros(3), draws).interval(0.9)
    np.testing.assert_allclose(
        low[:2], [np.quantile(draws[:, 0], 0.05), np.quantile(draws[20:, 1], 0.05)]
    )
    assert np.isnan([low[2], high[2]]).all()


def test_groups_are_drawn_whole_and_more_draws_begin_with_the_same() -> None:
    groups = ["a", "b", "a", "c", "b"]
    weights = draw_weights(5, 50, seed=1, groups=groups)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    np.testing.assert_array_equal(draw_weights(5, 9, 1), draw_weights(5, 50, 1)[:9])
