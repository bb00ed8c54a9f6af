"""Calibration and thresholds from out-of-fold predictions. Pure.

None of them ever reverses the order of patients: where out-of-fold predictions run against the
labels, the calibrated value is the same for all.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from histo_ray.config import Settings
from histo_ray.learn.cox_fit import fit_cox_path, hazard_at, measure_baseline, predict_survival

Floats = npt.NDArray[np.float64]
_LEAST = 1e-9
"""Probabilities nearer to 0 or 1 count as this far away, so that log-odds stay finite."""


_RIDGE = 1e-6
"""Penalty of the slope of `cox`, next to nothing: it keeps separated patients finite."""


class CalibrationMethod(StrEnum):
    """How predictions are brought to the scale of the labels."""

    NONE = "none"
    PLATT = "platt"
    """Probability: logistic of slope times log-odds of the prediction plus intercept."""
    ISOTONIC = "isotonic"
    """Piecewise linear between knots, never falling."""
    LINEAR = "linear"
    """Number: slope times the prediction plus intercept."""
    COX = "cox"
    """Probability of an event by a time: a slope of the log-hazard, and a baseline hazard."""


class Calibration(Settings):
    """A fitted calibration of one target; a part of a predictor's card."""

    method: CalibrationMethod = CalibrationMethod.NONE
    slope: float = 1.0
    intercept: float = 0.0
    knots_in: tuple[float, ...] = ()
    """Predictions, rising; isotonic alone."""
    knots_out: tuple[float, ...] = ()
    """Calibrated values at them."""
    n_patients: int = Field(default=0, ge=0)
    """With an out-of-fold prediction and a label."""
    times: tuple[float, ...] = ()
    """Times of events, rising, in the unit of the label table; cox alone."""
    hazard: tuple[float, ...] = ()
    """Baseline cumulative hazard from each of these times on: that of a raw prediction of 0."""
    at: float = 0.0
    """Time by which a calibrated value is the probability of an event; cox alone."""

    def read_at(self, stated: Sequence[float]) -> "Calibration":
        """Calibrate for the middle one of some stated times; without any, or times, as it is."""
        if not self.times or not stated:
            return self
        return self.model_copy(update={"at": sorted(stated)[(len(stated) - 1) // 2]})

    def survive(self, predicted: Floats, times: npt.ArrayLike) -> Floats:
        """Probability of no event by some times, (N, S), of (N,) raw predictions; cox alone."""
        hazard = hazard_at(np.array(self.times), np.array(self.hazard), times)
        return predict_survival(self.slope * predicted, hazard)


class Threshold(Settings):
    """A threshold on uncalibrated predictions, chosen on out-of-fold ones."""

    rule: str
    """`youden`, or `sensitivity 0.9`."""
    value: float
    """A patient is called positive from this uncalibrated prediction on."""
    calibrated: float
    """The same on the calibrated scale, for readers; calls are made on the uncalibrated one."""
    sensitivity: float
    """On the out-of-fold predictions that it was chosen on, so somewhat too good."""
    specificity: float
    """Likewise."""


def fit_calibration(method: CalibrationMethod, predicted: Floats, labels: Floats) -> Calibration:
    """Fit a calibration of one target.

    Platt 1999, Probabilistic outputs for support vector machines, with the targets that he
    proposes against overfitting; Zadrozny and Elkan 2002, Transforming classifier scores into
    accurate multiclass probability estimates (isotonic, with scikit-learn's IsotonicRegression).

    Args:
        method: How.
        predicted: (P,) out-of-fold predictions, mean over repeats; nan: none.
        labels: (P,) labels on the scale that heads are trained on; 0 or 1 for `platt`; nan: none.
    """
    there = np.isfinite(predicted) & np.isfinite(labels)
    return _FITS[method](predicted[there], labels[there])


def apply_calibration(calibration: Calibration, predicted: Floats) -> Floats:
    """Calibrate predictions of any shape; nan stays nan."""
    method, slope, intercept = calibration.method, calibration.slope, calibration.intercept
    if method is CalibrationMethod.PLATT:
        return np.asarray(expit(slope * _log_odds(predicted) + intercept))
    if method is CalibrationMethod.COX:
        flat = np.asarray(predicted, np.float64).reshape(-1)
        return np.asarray(1 - calibration.survive(flat, [calibration.at])).reshape(predicted.shape)
    if method is CalibrationMethod.ISOTONIC:
        return np.asarray(np.interp(predicted, calibration.knots_in, calibration.knots_out))
    return np.asarray(slope * predicted + intercept)


def choose_thresholds(
    predicted: Floats, labels: Floats, sensitivity: float, calibration: Calibration
) -> tuple[Threshold, ...]:
    """Choose thresholds of a binary target: Youden's, and the highest with a given sensitivity.

    Youden 1950, Index for rating diagnostic tests, Cancer 3:32; of equals the higher threshold. A
    threshold lies midway to the next lower prediction, so that rounding decides no call.

    Args:
        predicted: (P,) out-of-fold predictions; nan: none.
        labels: (P,) 0 or 1; nan: none.
        sensitivity: Least share of positives that the second one finds.
        calibration: Of the same predictions.

    Returns:
        None where a class is missing.
    """
    there = np.isfinite(predicted) & np.isfinite(labels)
    values, positive = predicted[there], labels[there] > 0
    if not positive.any() or positive.all():
        return ()
    levels = np.unique(values)[::-1]  # highest first
    calls = values[:, None] >= levels
    found = calls[positive].mean(0)
    spared = 1 - calls[~positive].mean(0)
    rules = {
        "youden": int((found + spared).argmax()),
        f"sensitivity {sensitivity:g}": int((found >= sensitivity - 1e-12).argmax()),
    }
    below = np.append(levels[1:], levels[-1])
    return tuple(
        Threshold(
            rule=rule,
            value=float((levels[at] + below[at]) / 2),
            calibrated=float(apply_calibration(calibration, (levels[at] + below[at]) / 2)),
            sensitivity=float(found[at]),
            specificity=float(spared[at]),
        )
        for rule, at in rules.items()
    )


def _keep(predicted: Floats, labels: Floats) -> Calibration:
    return Calibration(n_patients=len(labels))


def _fit_platt(predicted: Floats, labels: Floats) -> Calibration:
    positives, negatives = labels.sum(), (1 - labels).sum()
    aims = np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    odds = _log_odds(predicted)

    def loss(line: Floats) -> tuple[float, Floats]:
        values = line[0] * odds + line[1]
        wrong = expit(values) - aims
        total = (np.logaddexp(0, values) - aims * values).sum()
        return float(total), np.array([wrong @ odds, wrong.sum()])

    base = float(logit(aims.mean()))
    found = minimize(loss, np.array([1.0, base]), jac=True, bounds=[(0, None), (None, None)])
    slope, intercept = found.x
    return Calibration(
        method=CalibrationMethod.PLATT,
        slope=float(slope),
        intercept=float(intercept),
        n_patients=len(labels),
    )


def _fit_isotonic(predicted: Floats, labels: Floats) -> Calibration:
    model = IsotonicRegression(out_of_bounds="clip").fit(predicted, labels)
    return Calibration(
        method=CalibrationMethod.ISOTONIC,
        knots_in=tuple(map(float, model.X_thresholds_)),
        knots_out=tuple(map(float, model.y_thresholds_)),
        n_patients=len(labels),
    )


def _fit_linear(predicted: Floats, labels: Floats) -> Calibration:
    centred = predicted - predicted.mean()
    squares = float(centred @ centred)
    slope = max(0.0, float(centred @ labels) / squares) if squares > 0 else 0.0
    return Calibration(
        method=CalibrationMethod.LINEAR,
        slope=slope,
        intercept=float(labels.mean() - slope * predicted.mean()),
        n_patients=len(labels),
    )


def _fit_cox(predicted: Floats, labels: Floats) -> Calibration:
    """Slope by Cox regression on the prediction, then Breslow's baseline; labels: signed times."""
    slope = 0.0
    if (labels > 0).any() and np.ptp(predicted) > 0:
        centred = predicted - predicted.mean()
        (fit,) = fit_cox_path(labels, centred[:, None], [_RIDGE])
        slope = max(0.0, float(fit.weights[0]))
    times, hazard = measure_baseline(labels, slope * predicted)
    return Calibration(
        method=CalibrationMethod.COX,
        slope=slope,
        n_patients=len(labels),
        times=tuple(times.tolist()),
        hazard=tuple(hazard.tolist()),
        at=float(np.median(labels[labels > 0])) if (labels > 0).any() else 0.0,
    )


_FITS: dict[CalibrationMethod, Callable[[Floats, Floats], Calibration]] = {
    CalibrationMethod.NONE: _keep,
    CalibrationMethod.PLATT: _fit_platt,
    CalibrationMethod.ISOTONIC: _fit_isotonic,
    CalibrationMethod.LINEAR: _fit_linear,
    CalibrationMethod.COX: _fit_cox,
}


def _log_odds(probability: npt.ArrayLike) -> Floats:
    return np.asarray(logit(np.clip(probability, _LEAST, 1 - _LEAST)))
