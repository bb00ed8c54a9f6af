"""How far predictions are right as numbers, not only in their order. Pure.

Probabilities: slope and intercept of a logistic recalibration, Brier's score, and a curve. Numbers:
the same of a linear recalibration. All are of patients whom neither the head nor its calibration
has seen.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.proportions import wilson_interval

Floats = npt.NDArray[np.float64]

CLIP = 1e-3
"""Probabilities nearer to 0 or 1 count as this before their logit is taken, which has no end."""
_STEPS = 100
_NOTHING = Interval(np.nan, np.nan, np.nan)


class SlopeGap(StrEnum):
    """Why predictions have no calibration slope."""

    TOO_FEW = "too few"
    """Fewer patients than a line needs."""
    ONE_CLASS = "one class"
    CONSTANT = "constant"
    """Predictions are all alike."""
    SEPARATED = "separated"
    """Predictions separate the classes, wholly or nearly so: the slope has no upper end."""


class Recalibration(NamedTuple):
    """How predictions would have to be changed to be right for these patients."""

    slope: Interval
    """1 is right; below 1: predictions are too extreme, as of a head that was fitted too closely;
    nan where none can be fitted."""
    intercept: Interval
    """With the slope held at 1 (calibration in the large): 0 is right; above 0: predictions are
    too low on average. Of probabilities in logits, of numbers in their unit."""


class CurveBin(NamedTuple):
    """Patients with similar predictions."""

    n: int
    predicted: float
    """Their mean prediction."""
    observed: Interval
    """Share of positives with Wilson's interval, or mean with Student's."""


def recalibrate_logistic(truth: Floats, probability: Floats, level: float = 0.95) -> Recalibration:
    """Calibration slope and intercept of probabilities.

    Cox 1958, Biometrika 45:562: logit P(positive) = a + b logit(p), by maximum likelihood; the
    slope is b, the intercept is a with b = 1. Van Calster et al. 2016, J Clin Epidemiol 74:167,
    doi 10.1016/j.jclinepi.2015.12.005. Intervals are Wald's, from the observed information.

    Args:
        truth: (N,) 0 or 1.
        probability: (N,) of being positive.
        level: Of the intervals.

    Returns:
        nan for both where a class is missing; for the slope also where predictions are all alike or
        separate the classes, so that no slope is the best.
    """
    _check(truth, probability)
    positive = truth > 0
    if not positive.any() or positive.all():
        return Recalibration(_NOTHING, _NOTHING)
    z = _take_logit(probability)
    ones, y = np.ones((len(z), 1)), positive.astype(np.float64)
    intercept = _fit_logistic(ones, y, z, level)
    if _is_apart(z, positive) or np.ptp(z) == 0:
        return Recalibration(_NOTHING, intercept)
    slope = _fit_logistic(np.column_stack([ones, z]), y, np.zeros(len(z)), level)
    return Recalibration(slope, intercept)


def recalibrate_linear(truth: Floats, predicted: Floats, level: float = 0.95) -> Recalibration:
    """Calibration slope and intercept of numbers.

    The slope is that of a least-squares line of the truth on the prediction; the intercept is the
    mean of truth less prediction, which is that of a line of slope 1 (Steyerberg 2019, Clinical
    Prediction Models, section 15.1). Intervals are Student's.

    Args:
        truth: (N,) in the unit of the prediction.
        predicted: (N,).
        level: Of the intervals.

    Returns:
        nan for the slope with fewer than three patients or predictions that are all alike; for the
        ends of the intercept with one patient.
    """
    _check(truth, predicted)
    if not len(truth):
        return Recalibration(_NOTHING, _NOTHING)
    intercept = _mean_interval(truth - predicted, level)
    if len(truth) < 3 or np.ptp(predicted) == 0:
        return Recalibration(_NOTHING, intercept)
    found = stats.linregress(predicted, truth)
    reach = float(stats.t.ppf((1 + level) / 2, len(truth) - 2)) * float(found.stderr)
    slope = float(found.slope)
    return Recalibration(Interval(slope, slope - reach, slope + reach), intercept)


def explain_logistic_gap(truth: Floats, probability: Floats) -> SlopeGap:
    """Say why `recalibrate_logistic` gives no slope, where it gives none; arguments as there."""
    positive = truth > 0
    if not positive.any() or positive.all():
        return SlopeGap.ONE_CLASS if len(truth) else SlopeGap.TOO_FEW
    constant = np.ptp(_take_logit(probability)) == 0
    return SlopeGap.CONSTANT if constant else SlopeGap.SEPARATED


def explain_linear_gap(truth: Floats, predicted: Floats) -> SlopeGap:
    """Say why `recalibrate_linear` gives no slope, where it gives none; arguments as there."""
    return SlopeGap.TOO_FEW if len(truth) < 3 else SlopeGap.CONSTANT


def score_brier(truth: Floats, probability: Floats) -> float:
    """Mean squared difference of probability and outcome: 0 is the best, a guess has p (1 - p).

    Brier 1950, Mon Weather Rev 78:1, as one class of two; `sklearn.metrics.brier_score_loss`.
    """
    _check(truth, probability)
    return float(((probability - truth) ** 2).mean()) if len(truth) else float("nan")


def calibration_curve(
    truth: Floats,
    predicted: Floats,
    binary: bool,
    bins: int = 10,
    level: float = 0.95,
    repeats: int = 1,
) -> list[CurveBin]:
    """Observed against predicted, in bins with about as many patients each.

    Equal predictions stay in one bin. Bins of fewer than about ten patients say little, so there
    are fewer bins where patients are few.

    Args:
        truth: (N,).
        predicted: (N,).
        binary: Whether the truth is 0 or 1.
        bins: At most.
        level: Of the intervals.
        repeats: How often each patient is among the N, as in repeated cross-validation of classes;
            counts and intervals are of patients.

    Returns:
        From the lowest prediction to the highest; empty without patients.
    """
    _check(truth, predicted)
    if not len(truth):
        return []
    count = max(1, min(bins, len(truth) // (10 * repeats)))
    edges = np.quantile(predicted, np.arange(1, count) / count)
    number = np.searchsorted(np.unique(edges), predicted, side="right")
    found = []
    for one in np.unique(number):
        rows = number == one
        observed = (
            _share_interval(truth[rows] > 0, repeats, level)
            if binary
            else _mean_interval(truth[rows], level)
        )
        number_of = round(int(rows.sum()) / repeats)
        found.append(CurveBin(number_of, float(predicted[rows].mean()), observed))
    return found


def _share_interval(positive: npt.NDArray[np.bool_], repeats: int, level: float) -> Interval:
    """Share of positives, with the interval of as many patients as stand behind it."""
    trials = max(1, round(len(positive) / repeats))
    hits = min(trials, round(int(positive.sum()) / repeats))
    ends = wilson_interval(hits, trials, level)
    share = float(positive.mean())
    return Interval(share, min(ends.low, share), max(ends.high, share))


def _take_logit(probability: Floats) -> Floats:
    return np.asarray(special.logit(np.clip(probability, CLIP, 1 - CLIP)))


def _is_apart(z: Floats, positive: npt.NDArray[np.bool_]) -> bool:
    """Whether one class lies wholly above the other."""
    above = z[positive].min() >= z[~positive].max()
    return bool(above or z[positive].max() <= z[~positive].min())


def _fit_logistic(design: Floats, truth: Floats, offset: Floats, level: float) -> Interval:
    """Last coefficient of a logistic regression, by Newton's method with halved steps."""
    coefficients = np.zeros(design.shape[1])

    def likelihood(values: Floats) -> float:
        z = design @ values + offset
        return float((truth * z - np.logaddexp(0, z)).sum())

    best = likelihood(coefficients)
    for _ in range(_STEPS):
        p = special.expit(design @ coefficients + offset)
        information = (design * (p * (1 - p))[:, None]).T @ design
        if np.linalg.cond(information) > 1e12:
            return _NOTHING
        step = np.linalg.solve(information, design.T @ (truth - p))
        while likelihood(coefficients + step) < best - 1e-12 * abs(best) and np.abs(step).max():
            step = step / 2
        coefficients = coefficients + step
        best = likelihood(coefficients)
        if np.abs(step).max() < 1e-9:
            break
    else:
        return _NOTHING
    error = float(np.sqrt(np.linalg.inv(information)[-1, -1]))
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    value = float(coefficients[-1])
    return Interval(value, value - reach, value + reach)


def _mean_interval(values: Floats, level: float) -> Interval:
    """Mean with Student's interval; nan ends with one value."""
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, np.nan, np.nan)
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return Interval(mean, mean - reach, mean + reach)


def _check(truth: Floats, predicted: Floats) -> None:
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape}, predicted {predicted.shape}: must both be (N,)")
