"""Out-of-fold probabilities of classes as numbers: calibration, Brier's score, net benefit. Pure.

Each repeat is scored over all its out-of-fold predictions, and then the repeats' mean or median is
taken: a mean of several repeats' predictions is less extreme than any head's own, and would flatter
the slope.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.calibration_scores import (
    Recalibration,
    calibration_curve,
    recalibrate_logistic,
)
from histo_ray.learn.statistics.decision_curve import THRESHOLDS, score_net_benefit
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth
from histo_ray.schema import arrow_schema

Row = dict[str, str | int | float]

_REACH = 1.959963984540054
"""97.5 % point of the normal distribution."""
_HEADS = np.sqrt(2)
"""By which standard errors with fixed heads are made larger, as `within_fold.widen_error` does for
the whole cohort."""


def tabulate_calibration(
    truth: TargetTruth, predictions: Mapping[str, Predictions]
) -> dict[str, pa.Table]:
    """Tabulate calibration, its curves and decision curves of binary targets.

    Args:
        truth: Labels and folds.
        predictions: (R, P, T) probabilities by encoder; nan: not predicted.

    Returns:
        `calibration`, `calibration_curves` and `decision_curves`, rows of the schemas
        `outcome_...`; nothing where targets are no classes, or predictions no probabilities.
    """
    if not truth.is_binary or not all(map(_are_probabilities, predictions.values())):
        return {}
    rows: dict[str, list[Row]] = {
        "calibration": [], "calibration_curves": [], "decision_curves": [],
    }  # fmt: skip
    for encoder, predicted in predictions.items():
        for target, name in enumerate(truth.targets):
            labels, values, prevalence = _take_target(truth, predicted, target)
            shared: Row = {"task": truth.task, "target": name, "encoder": encoder}
            if not 0 < labels.sum() < len(labels):
                continue
            rows["calibration"] += [shared | one for one in _score(labels, values, prevalence)]
            rows["calibration_curves"] += [shared | one for one in _bin(labels, values)]
            rows["decision_curves"] += [shared | one for one in _weigh(labels, values)]
    return {
        name: pa.Table.from_pylist(some, arrow_schema(f"outcome_{name}"))
        for name, some in rows.items()
    }


def take_recalibration(labels: Floats, values: Floats) -> Recalibration:
    """Take the median slope and intercept over repeats, with intervals.

    Args:
        labels: (N,) 0 or 1.
        values: (R, N) probabilities.

    Returns:
        Medians of the repeats that have them, as a repeat with hardly any difference between its
        probabilities may have any slope. Ends are the median's -+ 1.96 median standard errors of a
        repeat, times sqrt 2 for what other training patients would change; nan where no repeat has
        any.
    """
    each = [recalibrate_logistic(labels, one) for one in values]
    return Recalibration(
        _take_middle([one.slope for one in each]), _take_middle([one.intercept for one in each])
    )


def score_brier_skill(
    labels: Floats, values: Floats, prevalence: Floats
) -> tuple[Interval, Interval]:
    """Brier's score, and its skill against predicting the training part's prevalence.

    Skill is 1 - Brier / Brier of the prevalence: 0 is a guess that knows how many are positive, 1
    is perfect (Murphy 1973, J Appl Meteorol 12:595).

    Args:
        labels: (N,) 0 or 1.
        values: (R, N) probabilities.
        prevalence: (R, N) of the training part of each patient's fold.

    Returns:
        Means over repeats, with intervals over patients as of `take_recalibration`.
    """
    own, guess = ((one - labels) ** 2 for one in (values, prevalence))
    mine, base = own.mean(0), guess.mean(0)  # (N,)
    ratio = mine.mean() / base.mean()
    influence = (mine - ratio * base) / base.mean()
    return _widen(float(mine.mean()), mine), _widen(float(1 - ratio), influence)


def _score(labels: Floats, values: Floats, prevalence: Floats) -> Iterator[Row]:
    slope, intercept = take_recalibration(labels, values)
    brier, skill = score_brier_skill(labels, values, prevalence)
    for metric, found in (
        ("calibration_slope", slope),
        ("calibration_intercept", intercept),
        ("brier", brier),
        ("brier_skill", skill),
    ):
        yield {
            **_count(labels),
            "metric": metric,
            "score": found.estimate,
            "low": found.low,
            "high": found.high,
        }


def _bin(labels: Floats, values: Floats) -> Iterator[Row]:
    """Bins of all repeats' predictions; a patient counts once for all repeats."""
    repeats = len(values)
    bins = calibration_curve(np.tile(labels, repeats), values.ravel(), binary=True, repeats=repeats)
    for number, one in enumerate(bins):
        yield {
            "bin": number,
            "n_patients": one.n,
            "predicted": one.predicted,
            "observed": one.observed.estimate,
            "low": one.observed.low,
            "high": one.observed.high,
        }


def _weigh(labels: Floats, values: Floats) -> Iterator[Row]:
    found = score_net_benefit(labels, values)
    reach = _REACH * _HEADS * found.error
    for at, threshold in enumerate(THRESHOLDS.tolist()):
        yield {
            **_count(labels),
            "threshold": threshold,
            "net_benefit": float(found.model[at]),
            "low": float(found.model[at] - reach[at]),
            "high": float(found.model[at] + reach[at]),
            "treat_all": float(found.everyone[at]),
        }


def _count(labels: Floats) -> Row:
    return {"n_patients": len(labels), "positives": int(labels.sum())}


def _take_target(
    truth: TargetTruth, predicted: Predictions, target: int
) -> tuple[Floats, Floats, Floats]:
    """Labels (N,), probabilities (R, N) and prevalence of the training parts (R, N).

    Repeats that the target lacks are left out, as are patients that lack a prediction.
    """
    labels = truth.values[:, target]
    values = predicted[:, :, target].astype(np.float64)
    there = ~np.isnan(values).all(1)
    kept = ~np.isnan(labels) & ~np.isnan(values[there]).any(0) if there.any() else np.zeros(0, int)
    ids = truth.fold_ids[target] if truth.fold_ids.ndim == 3 else truth.fold_ids
    means = truth.counts.mean[:, :, target]  # (R, F)
    prevalence = np.take_along_axis(means, np.maximum(ids, 0), axis=1)
    if not there.any():
        return labels[kept], values[:, kept], values[:, kept]
    return labels[kept], values[there][:, kept], prevalence[there][:, kept]


def _are_probabilities(predicted: npt.NDArray[np.floating]) -> bool:
    known = predicted[~np.isnan(predicted)]
    return bool(len(known) and known.min() >= 0 and known.max() <= 1)


def _take_middle(each: list[Interval]) -> Interval:
    values = np.array([(one.estimate, one.high - one.low) for one in each])
    known = values[~np.isnan(values).any(1)]
    if not len(known):
        return Interval(np.nan, np.nan, np.nan)
    middle, width = np.median(known, axis=0)
    reach = float(_HEADS * width / 2)
    return Interval(float(middle), float(middle) - reach, float(middle) + reach)


def _widen(estimate: float, each: Floats) -> Interval:
    """Interval of an estimate whose patients' parts are (N,)."""
    if len(each) < 2:
        return Interval(estimate, np.nan, np.nan)
    reach = float(_REACH * _HEADS * each.std(ddof=1) / np.sqrt(len(each)))
    return Interval(estimate, estimate - reach, estimate + reach)
