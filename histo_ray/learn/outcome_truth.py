"""What is known of judged patients, and the scores of every fold. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from histo_ray.learn.fold_support import FoldSupport, support_of
from histo_ray.learn.statistics import score_r2

Floats = npt.NDArray[np.float64]
Predictions = npt.NDArray[np.floating]
Score = Callable[[Floats, Floats], Floats]
Task = Literal["expression", "mutation"]
METRICS: dict[Task, str] = {"expression": "pearson", "mutation": "auroc"}
"""The score that decides."""


@dataclass(frozen=True)
class FoldCounts:
    """Patients with a label, and their mean in the training part; all (R, F, T)."""

    n_train: Floats
    n_test: Floats
    positives: Floats
    """Among those judged; 0 for expression."""
    mean: Floats
    """Of the training part; nan without one."""

    @property
    def sizes(self) -> tuple[Floats, Floats]:
        """(T,) mean number of patients trained on and judged in a fold."""
        train, test = (n.mean((0, 1)) for n in (self.n_train, self.n_test))
        return np.maximum(train, 1), np.maximum(test, 1)


@dataclass(frozen=True)
class OutcomeTruth:
    """What is known of the P patients and T targets that were judged."""

    task: Task
    targets: tuple[str, ...]
    values: Floats
    """(P, T); nan: no label; mutation: 0 or 1."""
    parts: npt.NDArray[np.integer]
    """(R, P) fold of each patient; or, of mutation, (T, R, P) where targets have their own folds.
    Below 0: in none; a whole repeat is where it would equal an earlier one of the target."""
    sites: tuple[str, ...] | None = None
    """(P,) within which labels were permuted for the null; None: over all patients."""
    groups: tuple[str, ...] | None = None
    """(P,) what is kept in one fold together; None: each patient is alone."""

    @property
    def n_folds(self) -> int:
        """Of a repeat."""
        return int(self.parts.max()) + 1

    @property
    def repeats(self) -> int:
        """How often all patients were judged."""
        return int(self.parts.shape[-2])

    @cached_property
    def counts(self) -> FoldCounts:
        """Of every fold."""
        return _count_folds(self)

    @cached_property
    def support(self) -> FoldSupport:
        """Distinct splits and independent units of each target."""
        classes = self.task == "mutation"
        return support_of(self.values, self.parts, self.groups, classes, self.sites is not None)

    def sum_by_fold(self, values: Predictions, repeat: int) -> Floats:
        """(F, T) sums of (P, T) over the patients judged in each fold."""
        parts = self.parts[..., repeat, :]
        inside = parts == np.arange(self.n_folds).reshape(-1, *[1] * parts.ndim)  # (F, [T,] P)
        if parts.ndim == 1:
            return np.asarray(inside.astype(np.float64) @ values)
        return np.asarray(np.einsum("ftp,pt->ft", inside, values))

    def take_fold(self, values: Predictions, repeat: int, fold: int) -> Floats:
        """(M, T) those of (P, T) that are judged in a fold; nan where only others' are."""
        inside = self.parts[..., repeat, :] == fold
        if inside.ndim == 1:
            return np.asarray(values[inside], np.float64)
        return np.asarray(np.where(inside.T, values, np.nan), np.float64)


def score_folds(truth: OutcomeTruth, predicted: Predictions, score: Score) -> Floats:
    """A score of every fold.

    Args:
        truth: What is known.
        predicted: (R, P, T).
        score: Of (M, T) labels and predictions; (T,).

    Returns:
        (R, F, T).
    """
    found = np.empty((truth.repeats, truth.n_folds, len(truth.targets)))
    for repeat, fold in np.ndindex(found.shape[:2]):
        labels = truth.take_fold(truth.values, repeat, fold)
        found[repeat, fold] = score(labels, truth.take_fold(predicted[repeat], repeat, fold))
    return found


def score_r2_folds(truth: OutcomeTruth, predicted: Predictions) -> Floats:
    """(R, F, T) R2 of every fold about the mean of its training part."""
    found = np.empty(truth.counts.mean.shape)
    for repeat, fold in np.ndindex(found.shape[:2]):
        labels = truth.take_fold(truth.values, repeat, fold)
        judged = truth.take_fold(predicted[repeat], repeat, fold)
        found[repeat, fold] = score_r2(labels, judged, truth.counts.mean[repeat, fold])
    return found


def _count_folds(truth: OutcomeTruth) -> FoldCounts:
    labelled = ~np.isnan(truth.values)
    filled = np.where(labelled, truth.values, 0.0)
    positive = filled > 0 if truth.task == "mutation" else np.zeros_like(labelled)
    tested, positives, sums = (
        np.stack([truth.sum_by_fold(v.astype(np.float64), r) for r in range(truth.repeats)])
        for v in (labelled, positive, filled)
    )
    trained = tested.sum(1, keepdims=True) - tested
    means = np.divide(
        sums.sum(1, keepdims=True) - sums,
        trained,
        out=np.full(sums.shape, np.nan),
        where=trained > 0,
    )
    return FoldCounts(trained, tested, positives, means)
