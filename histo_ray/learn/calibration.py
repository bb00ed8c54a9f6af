"""Calibration and thresholds from out-of-fold predictions. Pure.

None of them ever reverses the order of patients: where out-of-fold predictions run against the
labels, the calibrated value is the same for all.
"""

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import Field

from histo_ray.config import Settings

Floats = npt.NDArray[np.float64]


class CalibrationMethod(StrEnum):
    """How predictions are brought to the scale of the labels."""

    NONE = "none"
    PLATT = "platt"
    """Probability: logistic of slope times log-odds of the prediction plus intercept."""
    ISOTONIC = "isotonic"
    """Piecewise linear between knots, never falling."""
    LINEAR = "linear"
    """Number: slope times the prediction plus intercept."""


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

    Args:
        method: How.
        predicted: (P,) out-of-fold predictions, mean over repeats; nan: none.
        labels: (P,) labels on the scale that heads are trained on; 0 or 1 for `platt`; nan: none.
    """
    raise NotImplementedError


def apply_calibration(calibration: Calibration, predicted: Floats) -> Floats:
    """Calibrate predictions of any shape; nan stays nan."""
    raise NotImplementedError


def choose_thresholds(
    predicted: Floats, labels: Floats, sensitivity: float, calibration: Calibration
) -> tuple[Threshold, ...]:
    """Choose thresholds of a binary target: Youden's, and the highest with a given sensitivity.

    Args:
        predicted: (P,) out-of-fold predictions; nan: none.
        labels: (P,) 0 or 1; nan: none.
        sensitivity: Least share of positives that the second one finds.
        calibration: Of the same predictions.
    """
    raise NotImplementedError
