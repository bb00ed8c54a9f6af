"""The mean ROC curve of the repeats of a cross-validation. Pure."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

Floats = npt.NDArray[np.float64]

GRID = np.linspace(0, 1, 101)
"""False positive rates at which curves are averaged."""


def mean_roc(truth: npt.ArrayLike, predicted: npt.ArrayLike, repeat: npt.ArrayLike) -> Floats:
    """Average the ROC curves of the repeats.

    Vertical averaging: the mean of the true positive rates at each false positive rate (Fawcett
    2006, Pattern Recognition Letters 27:861, doi 10.1016/j.patrec.2005.10.010, algorithm 3).

    Args:
        truth: (N,) 0 or 1.
        predicted: (N,) higher is more likely 1; rows that are nan are left out.
        repeat: (N,) repeat of the cross-validation that each row is of.

    Returns:
        (101,) true positive rate at `GRID`, from 0 to 1; nan if no repeat has both classes.
    """
    labels, scores = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    known = ~np.isnan(labels) & ~np.isnan(scores)
    numbers = np.asarray(repeat)
    curves = []
    for number in np.unique(numbers[known]):
        rows = known & (numbers == number)
        if len(np.unique(labels[rows])) == 2:
            false, true, _ = roc_curve(labels[rows], scores[rows])
            curves.append(np.interp(GRID, false, true))
    if not curves:
        return np.full(len(GRID), np.nan)
    mean = np.mean(curves, axis=0)
    mean[0] = 0.0
    return np.asarray(mean, np.float64)
