"""Labels and folds of patients, and scores of every fold. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import EllipsisType

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics import score_r2
from histo_ray.learn.targets.class_codings import OutputLayout
from histo_ray.learn.targets.fold_support import FoldSupport
from histo_ray.learn.targets.kind_support import COUNT_UNITS, OF_LABELS
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
Predictions = npt.NDArray[np.floating]
Score = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class FoldCounts:
    """Patients with a label, and their mean in the training part; all (R, F, T)."""

    n_train: Floats
    n_test: Floats
    positives: Floats
    """Among the tested, of a class or with an event; 0 where targets are numbers."""
    mean: Floats
    """Mean of the training part; nan without one."""

    @property
    def sizes(self) -> tuple[Floats, Floats]:
        """(T,) mean number of patients trained on and tested in a fold."""
        train, test = (n.mean((0, 1)) for n in (self.n_train, self.n_test))
        return np.maximum(train, 1), np.maximum(test, 1)

    @property
    def share(self) -> Floats:
        """(T,) share of the patients that a fold tests, on average."""
        train, test = self.sizes
        return test / (train + test)


@dataclass(frozen=True)
class TargetTruth:
    """Labels of P patients and T targets, and the folds that they are tested in."""

    task: str
    """Name of the task, for tables."""
    targets: tuple[str, ...]
    values: Floats
    """(P, T); nan: no label; binary: 0 or 1; of several classes their numbers from 0; survival:
    signed times."""
    fold_ids: npt.NDArray[np.integer]
    """(R, P) fold of each patient, or (T, R, P) where targets have their own folds.
    Below 0: in none; a whole repeat is where it would equal an earlier one of the target."""
    sites: tuple[str, ...] | None = None
    """(P,) within which labels were permuted for the null; None: over all patients."""
    groups: tuple[str, ...] | None = None
    """(P,) what is kept in one fold together; None: each patient is alone."""
    kind: TargetKind = field(kw_only=True)
    """What the values are."""
    classes: tuple[tuple[str, ...], ...] = field(default=(), kw_only=True)
    """(T,) names of the classes of each target, where there may be more than two."""

    @property
    def n_folds(self) -> int:
        """Folds of a repeat."""
        return int(self.fold_ids.max()) + 1

    @property
    def repeats(self) -> int:
        """How often all patients are tested."""
        return int(self.fold_ids.shape[-2])

    @cached_property
    def counts(self) -> FoldCounts:
        """Patients of every fold."""
        return _count_folds(self)

    @cached_property
    def support(self) -> FoldSupport:
        """Distinct splits and independent units of each target."""
        count = COUNT_UNITS[self.kind]
        return count(self.values, self.fold_ids, self.groups, self.sites is not None)

    @property
    def is_binary(self) -> bool:
        """Whether values are classes, 0 and 1."""
        return self.kind is TargetKind.BINARY

    @property
    def counts_rarest(self) -> bool:
        """Whether independent units are those of the rarest class."""
        return self.kind in OF_LABELS

    @cached_property
    def layout(self) -> OutputLayout:
        """Which predictions are of which target."""
        return OutputLayout(self.kind, self.targets, self.classes)

    def take_target(self, target: int) -> "TargetTruth":
        """Take one target alone."""
        own = self.fold_ids[[target]] if self.fold_ids.ndim == 3 else self.fold_ids
        return replace(
            self,
            targets=(self.targets[target],),
            values=self.values[:, [target]],
            fold_ids=own,
            classes=self.classes[target : target + 1],
        )

    @property
    def repeats_alike(self) -> bool:
        """Whether all targets share folds, and each repeat has as many."""
        if self.fold_ids.ndim == 3:
            return False
        last = self.fold_ids.max(-1)
        return bool((last == last.max()).all())

    def take_targets(self, some: slice) -> "TargetTruth":
        """Take some targets that share folds, and what was counted of all."""
        part = replace(
            self,
            targets=self.targets[some],
            values=self.values[:, some],  # its layout decides the order of sums
            classes=self.classes[some],
        )
        return self._keep_counts(part, (Ellipsis, some))

    def take_repeats(self, some: slice) -> "TargetTruth":
        """Take some repeats, which are alike (`repeats_alike`), and what was counted of all."""
        return self._keep_counts(replace(self, fold_ids=self.fold_ids[some]), (some,))

    def _keep_counts(
        self, part: "TargetTruth", at: tuple["slice | EllipsisType", ...]
    ) -> "TargetTruth":
        """Give a part what was counted, as counting again may round otherwise."""
        counts = (getattr(self.counts, each.name)[at] for each in fields(FoldCounts))
        vars(part)["counts"] = FoldCounts(*counts)
        return part

    def sum_by_fold(self, values: Predictions, repeat: int) -> Floats:
        """Sum (P, T) over the patients tested in each fold, to (F, T)."""
        fold_ids = self.fold_ids[..., repeat, :]
        in_fold = fold_ids == np.arange(self.n_folds).reshape(
            -1, *[1] * fold_ids.ndim
        )  # (F, [T,] P)
        if fold_ids.ndim == 1:
            return np.asarray(in_fold.astype(np.float64) @ values)
        return np.asarray(np.einsum("ftp,pt->ft", in_fold, values))

    def take_fold(self, values: Predictions, repeat: int, fold: int) -> Floats:
        """Take the rows of (P, T) that are tested in a fold, (M, T); nan where only others' are."""
        in_fold = self.fold_ids[..., repeat, :] == fold
        if in_fold.ndim == 1:
            return np.asarray(values[in_fold], np.float64)
        return np.asarray(np.where(in_fold.T, values, np.nan), np.float64)


def score_folds(truth: TargetTruth, predicted: Predictions, score: Score) -> Floats:
    """Score every fold.

    Args:
        truth: Labels and folds.
        predicted: (R, P, T).
        score: (M, T) labels, (M, T) predictions -> (T,).

    Returns:
        (R, F, T).
    """
    found = np.empty((truth.repeats, truth.n_folds, len(truth.targets)))
    for repeat, fold in np.ndindex(found.shape[:2]):
        labels = truth.take_fold(truth.values, repeat, fold)
        found[repeat, fold] = score(labels, truth.take_fold(predicted[repeat], repeat, fold))
    return found


def score_r2_folds(truth: TargetTruth, predicted: Predictions) -> Floats:
    """Score every fold by R2 about the mean of its training part, (R, F, T)."""
    found = np.empty(truth.counts.mean.shape)
    for repeat, fold in np.ndindex(found.shape[:2]):
        labels = truth.take_fold(truth.values, repeat, fold)
        tested = truth.take_fold(predicted[repeat], repeat, fold)
        found[repeat, fold] = score_r2(labels, tested, truth.counts.mean[repeat, fold])
    return found


def _count_folds(truth: TargetTruth) -> FoldCounts:
    labelled = ~np.isnan(truth.values)
    filled = np.where(labelled, truth.values, 0.0)
    positive = filled > 0 if truth.kind.has_positives else np.zeros_like(labelled)
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
