"""The mean ROC curve of the folds of a cross-validation. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_curve

Floats = npt.NDArray[np.float64]

MOST_RATES = 1001
"""False positive rates at which curves are averaged, at most; more would not be seen."""


class Curve(NamedTuple):
    """A ROC curve with its corners; both (N,), from (0, 0) to (1, 1)."""

    false: Floats
    """False positive rate, ascending; twice where the curve rises straight up."""
    true: Floats
    """True positive rate."""

    @property
    def area(self) -> float:
        """Area under it."""
        return float(np.trapezoid(self.true, self.false))


def mean_roc(
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    repeat: npt.ArrayLike,
    fold: npt.ArrayLike,
) -> Curve | None:
    """Average the ROC curves of all folds of all repeats.

    Vertical averaging: the mean of the true positive rates at each false positive rate (Fawcett
    2006, Pattern Recognition Letters 27:861, doi 10.1016/j.patrec.2005.10.010, algorithm 3). The
    area under the result is the mean of the folds' areas, which is the score of a target. Heads of
    different folds are never put on one scale.

    Args:
        truth: (N,) 0 or 1.
        predicted: (N,) higher is more likely 1; rows that are nan are left out.
        repeat: (N,) repeat of the cross-validation that each row is of.
        fold: (N,) its fold.

    Returns:
        The mean curve; None if no fold has both classes.
    """
    rows = pd.DataFrame({"truth": truth, "predicted": predicted, "repeat": repeat, "fold": fold})
    curves = [
        Curve(*roc_curve(some["truth"], some["predicted"], drop_intermediate=False)[:2])
        for _, some in rows.dropna().groupby(["repeat", "fold"], sort=True)
        if some["truth"].nunique() == 2
    ]
    if not curves:
        return None
    rates = np.unique(np.concatenate([curve.false for curve in curves]))
    if len(rates) > MOST_RATES:
        rates = np.linspace(0, 1, MOST_RATES)
    ends = np.mean([_both_ends(curve, rates) for curve in curves], axis=0)  # (2, rates)
    ends[0, 0], ends[1, -1] = 0.0, 1.0
    return Curve(np.repeat(rates, 2), ends.T.reshape(-1))


def _both_ends(curve: Curve, rates: Floats) -> Floats:
    """(2, N) the lowest and the highest point of a curve at false positive rates."""
    at, first, count = np.unique(curve.false, return_index=True, return_counts=True)
    low, high = curve.true[first], curve.true[first + count - 1]
    right = np.minimum(np.searchsorted(at, rates), len(at) - 1)
    left = np.maximum(right - 1, 0)
    hit = at[right] == rates
    width = np.where(right > left, at[right] - at[left], 1.0)
    between = high[left] + (rates - at[left]) / width * (low[right] - high[left])
    return np.stack([np.where(hit, low[right], between), np.where(hit, high[right], between)])
