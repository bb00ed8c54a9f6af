"""Scores of predicted classes, all from one confusion matrix. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

Ints = npt.NDArray[np.integer]


@dataclass(frozen=True)
class ClassScores:
    """How well classes were told apart."""

    confusion: npt.NDArray[np.int64]
    """(classes, classes) rows: true class by predicted class."""

    @property
    def accuracy(self) -> float:
        """Share of rows that are right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recalls(self) -> npt.NDArray[np.float64]:
        """(classes,) share of each class that was found; nan for a class without rows."""
        rows = self.confusion.sum(axis=1)
        found = np.diag(self.confusion).astype(np.float64)
        recalls = np.full(len(rows), np.nan)
        np.divide(found, rows, out=recalls, where=rows > 0)
        return recalls

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have rows."""
        return float(np.nanmean(self.recalls))


def score_classes(labels: Ints, predicted: Ints, n_classes: int) -> ClassScores:
    """Compare predicted classes with true ones.

    Args:
        labels: (N,) true class, 0..n_classes-1.
        predicted: (N,) predicted class.
        n_classes: How many there are, whether they occur here or not.

    Raises:
        ValueError: No rows, or a class out of range.
    """
    for name, values in (("labels", labels), ("predicted", predicted)):
        if not len(values) or values.min() < 0 or values.max() >= n_classes:
            raise ValueError(
                f"{name}: {len(values)} rows, needs one or more, of classes 0..{n_classes - 1}"
            )
    classes = np.arange(n_classes)
    return ClassScores(confusion_matrix(labels, predicted, labels=classes).astype(np.int64))
