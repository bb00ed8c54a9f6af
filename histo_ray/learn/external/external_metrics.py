"""Scores of a fixed predictor on patients that it has not seen, by kind of target. Pure.

Nothing is trained here, so an interval over patients tells all that chance can have done: there
are no folds to correct for.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from histo_ray.learn.external.external_survival import score_times
from histo_ray.learn.statistics import (
    CurveBin,
    Interval,
    area_interval,
    calibration_curve,
    delong_test,
    draw_weights,
    percentile_interval,
    place_classes,
    precision_interval,
    recalibrate_linear,
    recalibrate_logistic,
    resample_mean,
    resample_pearson,
    resample_r2,
    resample_spearman,
    score_auprc,
    score_brier,
    score_calls,
    score_concordance,
    score_pearson,
    score_r2,
    score_spearman,
    weigh_precision,
)
from histo_ray.learn.statistics.calibration_scores import (
    SlopeGap,
    explain_linear_gap,
    explain_logistic_gap,
)
from histo_ray.learn.statistics.concordance import resample_concordance
from histo_ray.learn.statistics.fixed_bootstrap import Weights
from histo_ray.learn.statistics.survival_calibration import bin_events
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]


class TargetSample(NamedTuple):
    """Patients with a label and a prediction of one target."""

    truth: Floats
    """(N,)."""
    raw: Floats
    """(N,) as the head says; higher for positives."""
    calibrated: Floats
    """(N,) probability, or number in the scale of the truth; nan: the predictor is not calibrated.
    """
    called: npt.NDArray[np.bool_] | None = None
    """(N,) whether it lies at or above the predictor's threshold; None: there is none."""
    at: float = float("nan")
    """Time by which `calibrated` is the probability of an event; survival alone."""


class Draws(NamedTuple):
    """Bootstrap over patients."""

    resamples: int = 1000
    seed: int = 0

    def weights(self, count: int) -> Weights:
        """(B, N) how often each of N patients is drawn."""
        return _draw(count, self.resamples, self.seed)


class Difference(NamedTuple):
    """Score of one predictor less that of another, on the same patients."""

    one: float
    other: float
    difference: float
    """`other` less `one`."""
    low: float
    high: float
    p: float
    """Two-sided, of no difference."""


class ExternalMetric(ABC):
    """All scores of one kind of targets."""

    main: ClassVar[str]
    """The one that decides, as in `learn/targets/target_metrics.py`."""
    chance: ClassVar[float]
    """Score of a guess, by the one that decides."""

    @abstractmethod
    def score(self, sample: TargetSample, draws: Draws) -> Mapping[str, Interval]:
        """Score one target by every metric of this kind; nan where one is undefined."""

    @abstractmethod
    def bin_predictions(self, sample: TargetSample) -> list[CurveBin]:
        """Bin calibrated predictions for a calibration curve."""

    @abstractmethod
    def count_positives(self, sample: TargetSample) -> int:
        """Count the positives; 0 where the truth is a number."""

    @abstractmethod
    def explain_gap(self, sample: TargetSample) -> SlopeGap:
        """Say why a target has no calibration slope, where its score of it is nan."""

    @abstractmethod
    def compare(
        self, one: TargetSample, other: TargetSample, draws: Draws
    ) -> Mapping[str, Difference]:
        """Compare two predictors by the metrics that do not depend on calibration.

        Args:
            one: Predictions of the first.
            other: Of the second, of the same patients in the same order.
            draws: Of the bootstrap.
        """


class ExternalClasses(ExternalMetric):
    """Scores of binary targets."""

    main = "auroc"
    chance = 0.5

    def score(self, sample: TargetSample, draws: Draws) -> Mapping[str, Interval]:
        """As the base class says."""
        truth, raw = sample.truth, sample.raw
        both = _has_both(truth)
        nothing = Interval(np.nan, np.nan, np.nan)
        found = {"auroc": nothing, "auprc": nothing}
        if both:
            found["auroc"] = area_interval(place_classes(truth, raw[None]))
            found["auprc"] = precision_interval(
                _score_precision(truth, raw), int((truth > 0).sum())
            )
        if not np.isnan(sample.calibrated).any() and len(truth):
            slope, intercept = recalibrate_logistic(truth, sample.calibrated)
            squares = (sample.calibrated - truth) ** 2
            found |= {
                "calibration_slope": slope,
                "calibration_intercept": intercept,
                "brier": percentile_interval(
                    score_brier(truth, sample.calibrated),
                    resample_mean(draws.weights(len(truth)), squares),
                ),
            }
        if sample.called is not None:
            found |= score_calls(truth, sample.called)._asdict()
        return found

    def bin_predictions(self, sample: TargetSample) -> list[CurveBin]:
        """As the base class says."""
        return calibration_curve(sample.truth, sample.calibrated, binary=True)

    def count_positives(self, sample: TargetSample) -> int:
        """As the base class says."""
        return int((sample.truth > 0).sum())

    def explain_gap(self, sample: TargetSample) -> SlopeGap:
        """As the base class says."""
        return explain_logistic_gap(sample.truth, sample.calibrated)

    def compare(
        self, one: TargetSample, other: TargetSample, draws: Draws
    ) -> Mapping[str, Difference]:
        """AUROC by DeLong's paired test, average precision by the bootstrap."""
        truth = one.truth
        if not _has_both(truth):
            return {}
        places = [place_classes(truth, sample.raw[None]) for sample in (one, other)]
        test = delong_test(places[1], places[0])
        area, another = (float(place.positives.mean()) for place in places)
        weights = draws.weights(len(truth))
        a, b = (_score_precision(truth, sample.raw) for sample in (one, other))
        first, second = (weigh_precision(weights, truth > 0, s.raw) for s in (one, other))
        return {
            "auroc": Difference(area, another, test.difference, test.low, test.high, test.p),
            "auprc": _test_draws(a, b, second - first),
        }


class ExternalNumbers(ExternalMetric):
    """Scores of targets that are numbers."""

    main = "pearson"
    chance = 0.0

    def score(self, sample: TargetSample, draws: Draws) -> Mapping[str, Interval]:
        """As the base class says; R2 and calibration are of calibrated values if there are any."""
        truth, raw = sample.truth, sample.raw
        if not len(truth):
            return {}
        value = raw if np.isnan(sample.calibrated).any() else sample.calibrated
        weights = draws.weights(len(truth))
        estimates = _estimate(truth, raw, value)
        slope, intercept = recalibrate_linear(truth, value)
        return {
            "pearson": percentile_interval(
                estimates["pearson"], resample_pearson(weights, truth, raw)
            ),
            "spearman": percentile_interval(
                estimates["spearman"], resample_spearman(weights, truth, raw)
            ),
            "r2": percentile_interval(estimates["r2"], resample_r2(weights, truth, value)),
            "calibration_slope": slope,
            "calibration_intercept": intercept,
        }

    def bin_predictions(self, sample: TargetSample) -> list[CurveBin]:
        """As the base class says."""
        return calibration_curve(sample.truth, sample.calibrated, binary=False)

    def count_positives(self, sample: TargetSample) -> int:
        """None; the truth is a number."""
        return 0

    def explain_gap(self, sample: TargetSample) -> SlopeGap:
        """As the base class says."""
        value = sample.raw if np.isnan(sample.calibrated).any() else sample.calibrated
        return explain_linear_gap(sample.truth, value)

    def compare(
        self, one: TargetSample, other: TargetSample, draws: Draws
    ) -> Mapping[str, Difference]:
        """Both correlations by the bootstrap over the same resamples of patients."""
        truth = one.truth
        if len(truth) < 3:
            return {}
        weights = draws.weights(len(truth))
        scores = [_estimate(truth, sample.raw, sample.raw) for sample in (one, other)]
        resample = {"pearson": resample_pearson, "spearman": resample_spearman}
        return {
            name: _test_draws(
                scores[0][name],
                scores[1][name],
                work(weights, truth, other.raw) - work(weights, truth, one.raw),
            )
            for name, work in resample.items()
        }


class ExternalTimes(ExternalMetric):
    """Scores of times until an event; the truth is signed times."""

    main = "c_index"
    chance = 0.5

    def score(self, sample: TargetSample, draws: Draws) -> Mapping[str, Interval]:
        """As the base class says; calibration is that at the predictor's own time."""
        truth = sample.truth
        if not len(truth):
            return {}
        weights = draws.weights(len(truth))
        return score_times(truth, sample.raw, sample.calibrated, sample.at, weights)

    def bin_predictions(self, sample: TargetSample) -> list[CurveBin]:
        """As the base class says, at the predictor's own time."""
        if np.isnan(sample.at) or np.isnan(sample.calibrated).any():
            return []
        return bin_events(sample.truth, sample.calibrated, sample.at)

    def count_positives(self, sample: TargetSample) -> int:
        """Count the events."""
        return int((sample.truth > 0).sum())

    def explain_gap(self, sample: TargetSample) -> SlopeGap:
        """As the base class says."""
        return SlopeGap.CONSTANT if (sample.truth > 0).any() else SlopeGap.ONE_CLASS

    def compare(
        self, one: TargetSample, other: TargetSample, draws: Draws
    ) -> Mapping[str, Difference]:
        """C-indices by the bootstrap over the same resamples of patients."""
        truth = one.truth
        if not (truth > 0).any():
            return {}
        weights = draws.weights(len(truth))
        a, b = (float(score_concordance(truth[:, None], s.raw[:, None])[0]) for s in (one, other))
        first, second = (resample_concordance(weights, truth, s.raw) for s in (one, other))
        return {"c_index": _test_draws(a, b, second - first)}


EXTERNAL_METRICS: dict[TargetKind, ExternalMetric] = {
    TargetKind.CONTINUOUS: ExternalNumbers(),
    TargetKind.BINARY: ExternalClasses(),
    TargetKind.SURVIVAL: ExternalTimes(),
    TargetKind.MULTICLASS: ExternalClasses(),
    TargetKind.ORDINAL: ExternalClasses(),
}
"""By what the values of a target are."""


def _estimate(truth: Floats, raw: Floats, value: Floats) -> dict[str, float]:
    """Scores of numbers as observed; R2 is about these patients' own mean."""
    pair = truth[:, None], raw[:, None]
    return {
        "pearson": float(score_pearson(*pair)[0]),
        "spearman": float(score_spearman(*pair)[0]),
        "r2": float(score_r2(truth[:, None], value[:, None], truth.mean(keepdims=True))[0]),
    }


def _score_precision(truth: Floats, raw: Floats) -> float:
    """Average precision as observed."""
    return float(score_auprc(truth[:, None], raw[:, None])[0])


def _test_draws(one: float, other: float, differences: Floats) -> Difference:
    """Percentile interval, and P of the difference over its bootstrap standard error.

    Normal approximation: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 12.4.
    Unlike a count of resamples beyond 0 it is not bounded by their number, so that it can be
    corrected for many targets.
    """
    interval = percentile_interval(other - one, differences)
    found = differences[~np.isnan(differences)]
    if np.isnan(interval.low) or len(found) < 2:
        return Difference(one, other, other - one, np.nan, np.nan, np.nan)
    error = float(found.std(ddof=1))
    z = abs(other - one) / error if error > 0 else (np.inf if other != one else 0.0)
    p = 2 * float(stats.norm.sf(z))
    return Difference(one, other, other - one, interval.low, interval.high, p)


def _has_both(truth: Floats) -> bool:
    return bool((truth > 0).any() and (truth <= 0).any())


@lru_cache(maxsize=4)
def _draw(count: int, resamples: int, seed: int) -> Weights:
    """The same patients are drawn for every target of as many of them."""
    weights = draw_weights(count, resamples, seed)
    weights.flags.writeable = False
    return weights
