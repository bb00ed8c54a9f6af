import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve as binned
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, r2_score
from statsmodels.stats.proportion import proportion_confint

from histo_ray.learn.external.external_metrics import (
    EXTERNAL_METRICS,
    Draws,
    ExternalClasses,
    ExternalNumbers,
    TargetSample,
)
from histo_ray.learn.statistics import (
    area_interval,
    calibration_curve,
    delong_test,
    draw_weights,
    place_classes,
    precision_interval,
    recalibrate_linear,
    recalibrate_logistic,
    resample_mean,
    resample_pearson,
    resample_r2,
    resample_spearman,
    score_brier,
    score_calls,
    wilson_interval,
)
from histo_ray.learn.statistics.calibration_scores import (
    SlopeGap,
    explain_linear_gap,
    explain_logistic_gap,
)
from histo_ray.types import TargetKind

N = 137
RNG = np.random.default_rng(18)
SCORE = RNG.normal(size=N)
TRUTH = (RNG.random(N) < 1 / (1 + np.exp(-(0.4 + 0.7 * SCORE)))).astype(float)
PROBABILITY = 1 / (1 + np.exp(-SCORE))


def test_wilsons_interval_holds_the_shares_that_the_score_test_does_not_refuse() -> None:
    z = stats.norm.ppf(0.975)
    for successes, trials in [(0, 7), (3, 7), (7, 7), (40, 100)]:
        found = wilson_interval(successes, trials)
        assert found.estimate == pytest.approx(successes / trials)
        for end in (found.low, found.high):
            if 0 < end < 1:  # by the definition of the test that it inverts
                error = np.sqrt(end * (1 - end) / trials)
                assert abs(found.estimate - end) == pytest.approx(z * error)
    assert wilson_interval(0, 7).low == 0
    assert wilson_interval(7, 7).high == 1
    assert np.isnan(wilson_interval(0, 0).estimate)
    with pytest.raises(ValueError, match="8 of 7"):
        wilson_interval(8, 7)


def test_calls_are_counted_class_by_class() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0.0])
    called = np.array([1, 1, 0, 1, 0, 0, 0, 0], bool)
    found = score_calls(truth, called)
    shares = [one.estimate for one in found]
    assert shares == pytest.approx([2 / 3, 4 / 5, 2 / 3, 4 / 5])
    assert found.specificity.low < 0.8 < found.specificity.high
    nobody = score_calls(truth, np.zeros(8, bool))
    assert np.isnan(nobody.ppv.estimate)
    assert nobody.sensitivity.estimate == 0


def test_an_area_has_delongs_interval_on_the_logit_scale() -> None:
    places = place_classes(TRUTH, SCORE[None])
    found, plain = area_interval(places), delong_test(places)
    area = plain.difference + 0.5
    assert found.estimate == pytest.approx(area)
    reach = 1.959964 * plain.error / (area * (1 - area))  # delta method, by hand
    ends = np.log(area / (1 - area)) + np.array([-reach, reach])
    assert (found.low, found.high) == pytest.approx(tuple(1 / (1 + np.exp(-ends))), abs=1e-6)


def test_classes_that_are_wholly_apart_have_an_interval_all_the_same() -> None:
    truth = np.r_[np.ones(12), np.zeros(20)]
    found = area_interval(place_classes(truth, truth[None]))
    assert (found.estimate, found.high) == (1, 1)
    assert 0.8 < found.low < 0.99
    mirrored = area_interval(place_classes(truth, -truth[None]))
    assert (mirrored.low, mirrored.high) == pytest.approx((0, 1 - found.low))
    # Newcombe's variance, written out
    a, size = found.low, (12 + 20) / 2 - 1
    variance = a * (1 - a) * (1 + size * ((1 - a) / (2 - a) + a / (1 + a))) / (12 * 20)
    assert (1 - a) / np.sqrt(variance) == pytest.approx(1.959964, abs=1e-5)
    few = area_interval(place_classes(np.r_[1.0, np.zeros(9)], np.arange(10.0)[None]))
    assert few.estimate == 0
    assert np.isnan([few.low, few.high]).all()


def test_an_average_precision_has_wilsons_interval_of_the_positives() -> None:
    found = precision_interval(0.7, 30)
    ends = proportion_confint(21, 30, method="wilson")
    assert (found.estimate, found.low, found.high) == pytest.approx((0.7, *ends))
    whole, nearly = precision_interval(1.0, 32), precision_interval(0.999, 32)
    assert (whole.low, whole.high) == (wilson_interval(32, 32).low, 1)
    assert whole.low - 0.01 < nearly.low < whole.low  # it does not break off near 1
    assert nearly.high > 0.999
    assert np.isnan(precision_interval(0.4, 1).low)


def test_calibration_is_the_maximum_of_the_likelihood() -> None:
    found = recalibrate_logistic(TRUTH, PROBABILITY)
    z = np.log(PROBABILITY / (1 - PROBABILITY))
    fitted = LogisticRegression(C=np.inf, tol=1e-12).fit(z[:, None], TRUTH)
    assert found.slope.estimate == pytest.approx(float(fitted.coef_[0, 0]), abs=1e-5)
    a = found.intercept.estimate
    assert (1 / (1 + np.exp(-(a + z)))).mean() == pytest.approx(TRUTH.mean())  # its score equation

    # Wald's error from the second derivative of the likelihood, taken numerically
    def loss(slope: float) -> float:
        best = LogisticRegression(C=np.inf, tol=1e-12)
        rest = best.fit(z[:, None], TRUTH)  # starts the profile at its maximum
        intercept = float(rest.intercept_[0])
        for _ in range(50):
            p = 1 / (1 + np.exp(-(intercept + slope * z)))
            intercept += (TRUTH - p).sum() / (p * (1 - p)).sum()
        p = 1 / (1 + np.exp(-(intercept + slope * z)))
        return float((TRUTH * np.log(p) + (1 - TRUTH) * np.log(1 - p)).sum())

    b, h = found.slope.estimate, 1e-3
    curvature = -(loss(b + h) - 2 * loss(b) + loss(b - h)) / h**2
    assert found.slope.high - b == pytest.approx(1.959964 / np.sqrt(curvature), rel=1e-3)


def test_predictions_that_are_too_extreme_or_too_low_show() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1.5, 20_000)
    truth = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(float)
    right = recalibrate_logistic(truth, 1 / (1 + np.exp(-z)))
    extreme = recalibrate_logistic(truth, 1 / (1 + np.exp(-2 * z)))
    low = recalibrate_logistic(truth, 1 / (1 + np.exp(-(z - 1))))
    assert right.slope.low < 1 < right.slope.high
    assert right.intercept.low < 0 < right.intercept.high
    assert extreme.slope.estimate == pytest.approx(0.5, abs=0.03)
    assert low.intercept.low < 1 < low.intercept.high
    assert low.slope.estimate == pytest.approx(1, abs=0.05)


def test_where_no_slope_is_the_best_there_is_none() -> None:
    truth = np.r_[np.ones(5), np.zeros(6)]
    for probability in (np.where(truth > 0, 0.9, 0.2), np.where(truth > 0, 0.2, 0.9)):
        found = recalibrate_logistic(truth, probability)
        assert np.isnan(found.slope.estimate)
        assert np.isfinite(found.intercept.estimate)
    assert np.isnan(recalibrate_logistic(truth, np.full(11, 0.3)).slope.estimate)
    assert np.isnan(recalibrate_logistic(np.ones(11), PROBABILITY[:11]).intercept.estimate)
    assert explain_logistic_gap(truth, np.where(truth > 0, 0.9, 0.2)) is SlopeGap.SEPARATED
    assert explain_logistic_gap(truth, np.full(11, 0.3)) is SlopeGap.CONSTANT
    assert explain_logistic_gap(np.ones(11), PROBABILITY[:11]) is SlopeGap.ONE_CLASS
    assert explain_logistic_gap(np.empty(0), np.empty(0)) is SlopeGap.TOO_FEW
    assert explain_linear_gap(truth[:2], truth[:2]) is SlopeGap.TOO_FEW
    assert explain_linear_gap(truth, np.full(11, 0.3)) is SlopeGap.CONSTANT
    certain = recalibrate_logistic(TRUTH, (SCORE > 0).astype(float))  # as isotonic ones may be
    assert np.isfinite(certain.slope.estimate)


def test_numbers_are_recalibrated_by_a_line() -> None:
    predicted = 2 + 3 * SCORE
    truth = 1 + 0.5 * predicted + RNG.normal(size=N)
    found = recalibrate_linear(truth, predicted)
    design = np.column_stack([np.ones(N), predicted])
    coefficients, errors, *_ = np.linalg.lstsq(design, truth, rcond=None)
    variance = float(errors[0]) / (N - 2) * np.linalg.inv(design.T @ design)[1, 1]
    assert found.slope.estimate == pytest.approx(coefficients[1])
    reach = stats.t.ppf(0.975, N - 2) * np.sqrt(variance)
    assert found.slope.high - found.slope.estimate == pytest.approx(reach)
    ends = stats.ttest_1samp(truth - predicted, 0).confidence_interval()
    assert (found.intercept.low, found.intercept.high) == pytest.approx((ends.low, ends.high))
    assert np.isnan(recalibrate_linear(truth[:2], predicted[:2]).slope.estimate)


def test_briers_score_and_the_curve_are_scikit_learns() -> None:
    assert score_brier(TRUTH, PROBABILITY) == pytest.approx(brier_score_loss(TRUTH, PROBABILITY))
    bins = calibration_curve(TRUTH, PROBABILITY, binary=True, bins=5)
    observed, predicted = binned(TRUTH, PROBABILITY, n_bins=5, strategy="quantile")
    assert [one.observed.estimate for one in bins] == pytest.approx(list(observed))
    assert [one.predicted for one in bins] == pytest.approx(list(predicted))
    assert sum(one.n for one in bins) == N
    assert all(one.observed.low < one.observed.estimate < one.observed.high for one in bins)


def test_equal_predictions_share_a_bin_and_few_patients_have_few_bins() -> None:
    stepped = np.repeat([0.1, 0.5, 0.9], [60, 7, 70])
    bins = calibration_curve(TRUTH, stepped, binary=True)
    assert [one.n for one in bins] == [67, 70]
    assert [one.predicted for one in bins] == pytest.approx([(60 * 0.1 + 7 * 0.5) / 67, 0.9])
    assert [one.n for one in calibration_curve(TRUTH[:29], SCORE[:29], binary=False)] == [14, 15]
    assert calibration_curve(TRUTH[:0], SCORE[:0], binary=True) == []
    (one,) = calibration_curve(TRUTH[:9], SCORE[:9], binary=False)
    assert one.observed.estimate == pytest.approx(TRUTH[:9].mean())


def test_resampled_scores_are_those_of_the_patients_written_out() -> None:
    one, other = np.round(SCORE, 1), np.round(SCORE + RNG.normal(size=N), 1)  # with ties
    weights = draw_weights(N, 5, 4)
    found = [
        work(weights, one, other) for work in (resample_pearson, resample_spearman, resample_r2)
    ]
    means = resample_mean(weights, one)
    for draw, times in enumerate(weights):
        rows = np.repeat(np.arange(N), times.astype(int))
        assert found[0][draw] == pytest.approx(stats.pearsonr(one[rows], other[rows])[0])
        assert found[1][draw] == pytest.approx(stats.spearmanr(one[rows], other[rows])[0])
        assert found[2][draw] == pytest.approx(r2_score(one[rows], other[rows]))
        assert means[draw] == pytest.approx(one[rows].mean(), rel=1e-5)
    for work, constant in itertools.product(
        (resample_pearson, resample_spearman), (np.ones(N), np.full(N, 1e9))
    ):
        assert np.isnan(work(weights, one, constant)).all()
    assert np.isnan(resample_r2(weights, np.full(N, 0.3), other)).all()


def sample(raw: np.ndarray, calibrated: np.ndarray | None = None) -> TargetSample:
    return TargetSample(TRUTH, raw, PROBABILITY if calibrated is None else calibrated)


def test_scores_of_classes_have_intervals_and_need_what_they_are_of() -> None:
    draws = Draws(200)
    found = ExternalClasses().score(sample(SCORE)._replace(called=SCORE > 0), draws)
    assert list(found) == [
        "auroc", "auprc", "calibration_slope", "calibration_intercept", "brier",
        "sensitivity", "specificity", "ppv", "npv",
    ]  # fmt: skip
    assert all(one.low < one.estimate < one.high for one in found.values())
    bare = ExternalClasses().score(sample(SCORE, np.full(N, np.nan)), draws)
    assert list(bare) == ["auroc", "auprc"]
    rows = TRUTH > 0
    single = TargetSample(TRUTH[rows], SCORE[rows], PROBABILITY[rows], SCORE[rows] > 0)
    one_class = ExternalClasses().score(single, draws)
    assert np.isnan([one_class[name].estimate for name in ("auroc", "auprc", "specificity")]).all()
    assert np.isfinite([one_class[name].estimate for name in ("brier", "sensitivity")]).all()


def test_two_predictors_are_compared_on_the_same_patients() -> None:
    better = TRUTH + RNG.normal(size=N)
    for kind, names in [
        (TargetKind.BINARY, ["auroc", "auprc"]),
        (TargetKind.CONTINUOUS, ["pearson", "spearman"]),
    ]:
        found = EXTERNAL_METRICS[kind].compare(sample(-SCORE), sample(better), Draws(300))
        assert list(found) == names
        for one in found.values():
            assert one.difference == pytest.approx(one.other - one.one)
            assert 0 < one.low < one.difference < one.high
            assert one.p < 1e-6
        same = EXTERNAL_METRICS[kind].compare(sample(SCORE), sample(2 * SCORE), Draws(300))
        assert all(one.p == 1 and one.difference == 0 for one in same.values())


def test_the_comparison_of_equals_is_seldom_significant() -> None:
    rng = np.random.default_rng(7)
    p = []
    for _ in range(200):
        truth = rng.normal(size=80)
        one, other = (
            TargetSample(truth, truth + 2 * rng.normal(size=80), np.full(80, np.nan))
            for _ in range(2)
        )
        p.append(ExternalNumbers().compare(one, other, Draws(100))["pearson"].p)
    assert 0.01 <= (np.array(p) < 0.05).mean() <= 0.1


@pytest.mark.parametrize("kind", EXTERNAL_METRICS)
def test_scores_without_patients_or_with_one_are_no_error(kind: TargetKind) -> None:
    for count in (0, 1, 2):
        few = TargetSample(TRUTH[:count], SCORE[:count], PROBABILITY[:count], SCORE[:count] > 0)
        found = EXTERNAL_METRICS[kind].score(few, Draws(100))
        assert all(not one.low > one.high for one in found.values())
        EXTERNAL_METRICS[kind].compare(few, few, Draws(100))
