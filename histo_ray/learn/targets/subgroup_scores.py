"""Scores of groups of patients (sites, stages, ...) from out-of-fold predictions. Pure.

tabulate_subgroups(truth, {"uni2-h": predicted}, {"site": ("A", "B", ...)})
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.within_fold import (
    PooledScore,
    area_ends,
    correlation_ends,
    measure_error,
    pool_auroc,
    pool_concordance,
    pool_pearson,
)
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth
from histo_ray.schema import arrow_schema
from histo_ray.types import TargetKind

Ids = npt.NDArray[np.integer]
Columns = Mapping[str, tuple[str, ...]]
"""(P,) group of each patient by column; empty: in none."""
Row = dict[str, str | int | float]

FEWEST_OF_CLASS = 5
"""Positives, and negatives, or events of a group below which it has no score."""
FEWEST_PATIENTS = 10
"""Patients of a group below which it has no score, where targets are numbers."""


class GroupScores(NamedTuple):
    """Scores of G groups of one column."""

    score: Floats
    """(G, T) by comparisons within folds alone; nan where there are none."""
    influence: Floats
    """(P, T) of each patient on the score of its group."""


class GroupScore(ABC):
    """How a group of patients is scored, by kind of targets."""

    name: ClassVar[str]
    """In the column `metric`."""

    @abstractmethod
    def score(self, truth: TargetTruth, predicted: Predictions, groups: Ids) -> GroupScores:
        """Score all groups.

        Args:
            truth: Labels and folds.
            predicted: (R, P, T).
            groups: (P,) number of each patient's group, from 0; below 0: in none.
        """

    @abstractmethod
    def has_enough(self, labels: Floats) -> bool:
        """Whether (n,) labels of a group are enough for a score."""

    @abstractmethod
    def find_ends(self, score: float, error: float, labels: Floats, share: float) -> Interval:
        """Find the 95 % interval of a score; see `learn/statistics/within_fold.py`."""


class GroupArea(GroupScore):
    """AUROC among pairs of one fold."""

    name = "auroc"

    def pool(self, truth: Floats, predicted: Predictions, fold_ids: Ids) -> PooledScore:
        """Score (P,) patients of a group by (R, P) predictions."""
        return pool_auroc(truth, predicted, fold_ids)

    def score(self, truth: TargetTruth, predicted: Predictions, groups: Ids) -> GroupScores:
        """As the base class says."""
        found = GroupScores(
            np.full((int(groups.max()) + 1, len(truth.targets)), np.nan),
            np.zeros(truth.values.shape),
        )
        for group, target in np.ndindex(found.score.shape):
            rows = groups == group
            one = self.pool(
                truth.values[rows, target],
                predicted[:, rows, target],
                folds_of(truth, target)[:, rows],
            )
            found.score[group, target] = one.score
            found.influence[rows, target] = one.influence
        return found

    def has_enough(self, labels: Floats) -> bool:
        """As the base class says."""
        positives = int((labels > 0).sum())
        return min(positives, len(labels) - positives) >= FEWEST_OF_CLASS

    def find_ends(self, score: float, error: float, labels: Floats, share: float) -> Interval:
        """As the base class says."""
        positives = int((labels > 0).sum())
        return area_ends(score, error, (positives, len(labels) - positives), share)


class GroupConcordance(GroupArea):
    """C-index among pairs of one fold."""

    name = "c_index"

    def pool(self, truth: Floats, predicted: Predictions, fold_ids: Ids) -> PooledScore:
        """As the base class says."""
        return pool_concordance(truth, predicted, fold_ids)

    def has_enough(self, labels: Floats) -> bool:
        """As the base class says."""
        return int((labels > 0).sum()) >= FEWEST_OF_CLASS and len(labels) >= FEWEST_PATIENTS

    def find_ends(self, score: float, error: float, labels: Floats, share: float) -> Interval:
        """As the base class says."""
        return area_ends(score, error, (int((labels > 0).sum()), len(labels)), share)


class GroupCorrelation(GroupScore):
    """Correlation about the means of folds."""

    name = "pearson"

    def score(self, truth: TargetTruth, predicted: Predictions, groups: Ids) -> GroupScores:
        """As the base class says."""
        if truth.fold_ids.ndim == 2:
            return GroupScores(*pool_pearson(truth.values, predicted, truth.fold_ids, groups))
        parts = [
            pool_pearson(truth.values[:, [t]], predicted[:, :, [t]], truth.fold_ids[t], groups)
            for t in range(len(truth.targets))
        ]
        return GroupScores(*(np.concatenate(some, axis=1) for some in zip(*parts, strict=True)))

    def has_enough(self, labels: Floats) -> bool:
        """As the base class says."""
        return len(labels) >= FEWEST_PATIENTS

    def find_ends(self, score: float, error: float, labels: Floats, share: float) -> Interval:
        """As the base class says."""
        return correlation_ends(score, error, len(labels), share)


GROUP_SCORES: dict[TargetKind, GroupScore] = {
    TargetKind.BINARY: GroupArea(),
    TargetKind.CONTINUOUS: GroupCorrelation(),
    TargetKind.SURVIVAL: GroupConcordance(),
}
"""By what the values of a target are; other kinds have no scores of groups."""


def tabulate_subgroups(
    truth: TargetTruth, predictions: Mapping[str, Predictions], columns: Columns
) -> pa.Table:
    """Score every group of every column with two groups or more.

    Args:
        truth: Labels and folds.
        predictions: (R, P, T) by encoder; nan: not predicted.
        columns: Who belongs where.

    Returns:
        Rows of `schemas/outcome_subgroups.json`: first the mean over targets, where there are
        several, then each target. Groups that are too small have no score, but a row.
    """
    scores = {name: score_subgroups(truth, one, columns) for name, one in predictions.items()}
    return tabulate_group_scores(truth, scores, columns)


def score_subgroups(
    truth: TargetTruth, predicted: Predictions, columns: Columns
) -> dict[str, GroupScores]:
    """Score every group of every column that has two or more, by column.

    Args:
        truth: Labels and folds.
        predicted: (R, P, T); nan: not predicted.
        columns: Who belongs where.
    """
    kind = GROUP_SCORES.get(truth.kind)
    numbered = {column: number_groups(names) for column, names in columns.items()}
    if kind is None:
        return {}
    return {
        column: kind.score(truth, predicted, groups)
        for column, (found, groups) in numbered.items()
        if len(found) > 1
    }


def join_group_scores(parts: Sequence[Mapping[str, GroupScores]]) -> dict[str, GroupScores]:
    """Join the scores of consecutive targets, by column."""
    return {
        column: GroupScores(
            *(
                np.concatenate(same, axis=1)
                for same in zip(*(part[column] for part in parts), strict=True)
            )
        )
        for column in parts[0]
    }


def tabulate_group_scores(
    truth: TargetTruth, scores: Mapping[str, Mapping[str, GroupScores]], columns: Columns
) -> pa.Table:
    """Tabulate the groups of every column as `tabulate_subgroups` says.

    Args:
        truth: Labels and folds.
        scores: From `score_subgroups`, by encoder.
        columns: Who belongs where.
    """
    schema = arrow_schema("outcome_subgroups")
    tables = [schema.empty_table()]
    for column, names in columns.items():
        for encoder, found in scores.items():
            if column in found:  # as Python objects, rows of one group are held at a time
                groups = _score_column(truth, encoder, found[column], column, names)
                tables += [pa.Table.from_pylist(rows, schema) for rows in groups]
    return pa.concat_tables(tables).combine_chunks()


def number_groups(names: tuple[str, ...]) -> tuple[list[str], Ids]:
    """Name the groups of one column, sorted, and number them; (P,) -1: in none."""
    found = sorted(set(names) - {""})
    place = {name: at for at, name in enumerate(found)} | {"": -1}
    return found, np.array([place[name] for name in names], np.intp)


def folds_of(truth: TargetTruth, target: int) -> Ids:
    """Take the folds of one target, (R, P)."""
    return truth.fold_ids[target] if truth.fold_ids.ndim == 3 else truth.fold_ids


def _score_column(
    truth: TargetTruth,
    encoder: str,
    scores: GroupScores,
    column: str,
    names: tuple[str, ...],
) -> Iterator[list[Row]]:
    """Yield the rows of each group."""
    kind = GROUP_SCORES[truth.kind]
    found, groups = number_groups(names)
    clusters = None if truth.groups is None else np.unique(truth.groups, return_inverse=True)[1]
    labelled = ~np.isnan(truth.values)
    for number, group in enumerate(found):
        rows = groups == number
        shared: Row = {
            "task": truth.task,
            "encoder": encoder,
            "column": column,
            "group": group,
            "metric": kind.name,
        }
        own: list[Row] = []
        kept = np.zeros(len(truth.targets), bool)
        for target, name in enumerate(truth.targets):
            some = rows & labelled[:, target]
            labels = truth.values[some, target]
            kept[target] = kind.has_enough(labels)
            score, error, share = np.nan, np.nan, 0.0
            if kept[target]:
                score = float(scores.score[number, target])
                error = _measure(scores.influence[some, target], clusters, some)
                share = some.sum() / labelled[:, target].sum()
            own.append(
                shared
                | {
                    "target": name,
                    "n_targets": int(score == score),
                    "n_patients": len(labels),
                    "positives": int((labels > 0).sum()) if truth.is_binary else 0,
                    **_interval(kind.find_ends(score, error, labels, share)),
                }
            )
        if len(own) > 1:
            own.insert(0, shared | _average(truth, scores, kind, number, rows, kept, clusters))
        yield own


def _average(
    truth: TargetTruth,
    scores: GroupScores,
    kind: GroupScore,
    number: int,
    rows: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
    clusters: Ids | None,
) -> Row:
    """Mean over the targets that have a score in the group."""
    known = np.flatnonzero(kept & ~np.isnan(scores.score[number]))
    some = rows & ~np.isnan(truth.values).all(1)
    shared: Row = {
        "target": "",
        "n_targets": len(known),
        "n_patients": int(some.sum()),
        "positives": 0,
    }
    if not len(known):
        return shared | _interval(Interval(np.nan, np.nan, np.nan))
    error = _measure(scores.influence[some][:, known].mean(1), clusters, some)
    share = some.sum() / (~np.isnan(truth.values).all(1)).sum()
    fewest = min(known, key=lambda t: _rarest(truth, int(t), rows))
    labels = truth.values[rows & ~np.isnan(truth.values[:, fewest]), fewest]
    mean = float(scores.score[number, known].mean())
    return shared | _interval(kind.find_ends(mean, error, labels, share))


def _rarest(truth: TargetTruth, target: int, rows: npt.NDArray[np.bool_]) -> int:
    """Patients of the group with a label, of classes those of the rarer one."""
    labels = truth.values[rows & ~np.isnan(truth.values[:, target]), target]
    if not truth.is_binary:
        return len(labels)
    return min(int((labels > 0).sum()), int((labels <= 0).sum()))


def _measure(influence: Floats, clusters: Ids | None, rows: npt.NDArray[np.bool_]) -> float:
    return measure_error(influence, None if clusters is None else clusters[rows])


def _interval(found: Interval) -> Row:
    return {"score": found.estimate, "low": found.low, "high": found.high}
