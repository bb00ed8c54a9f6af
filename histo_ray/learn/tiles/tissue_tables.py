"""Predictions of classes of tiles as tables, their scores and comparisons. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.learn.statistics import (
    FEWEST_UNITS,
    SHARE,
    adjust_p,
    bootstrap_difference,
    resample_rows,
)
from histo_ray.learn.tiles.tile_metrics import score_classes
from histo_ray.learn.tiles.tissue_tests import DifferenceTest, TileFolds, test_folds
from histo_ray.schema import arrow_schema, column_names

Ints = npt.NDArray[np.int32]
Row = dict[str, Any]


@dataclass(frozen=True)
class TileTruth:
    """Classes and groups of N tiles."""

    classes: tuple[str, ...]
    labels: Ints
    """(N,) index into `classes`."""
    groups: tuple[str, ...] | None
    tile_ids: npt.NDArray[np.int64] | None = None
    """(N,) of each in the store; None: 0..N-1."""

    @property
    def names(self) -> npt.NDArray[np.int64]:
        """(N,) tile_id of each."""
        return np.arange(len(self.labels)) if self.tile_ids is None else self.tile_ids


@dataclass
class TileTally:
    """Scores of one encoder on one split, over all repeats."""

    scores: list[Row]
    recalls: list[Row]
    right: npt.NDArray[np.float64]
    """(N,) share of the repeats in which a tile was right."""
    confusion: npt.NDArray[np.int64]
    """(K, K) over all repeats; true class by predicted class."""

    @property
    def accuracy(self) -> float:
        """Mean over folds."""
        return float(np.mean([row["accuracy"] for row in self.scores]))

    @property
    def balanced_accuracy(self) -> float:
        """Mean over folds."""
        return float(np.mean([row["balanced_accuracy"] for row in self.scores]))


def tabulate_predictions(
    where: Mapping[str, Any],
    truth: TileTruth,
    folds: Ints,
    predicted: Ints,
    confidence: npt.NDArray[np.float32],
    choices: npt.NDArray[np.float64],
) -> pa.Table:
    """Tabulate one repeat of one encoder as rows of `schemas/tissue_predictions.json`.

    Args:
        where: split, encoder and repeat.
        truth: Classes of the N tiles.
        folds: (N,) fold in which each was tested.
        predicted: (N,) class.
        confidence: (N,) score of that class.
        choices: (N,) what the head of its fold had chosen.
    """
    count = len(predicted)
    names = pa.array(truth.classes, pa.string())
    columns = {key: pa.array([value] * count) for key, value in where.items()} | {
        "fold": folds,
        "tile_id": truth.names.astype(np.int32),
        "label": names.take(pa.array(truth.labels)),
        "predicted": names.take(pa.array(predicted)),
        "confidence": confidence,
        "choice": choices,
    }
    schema = arrow_schema("tissue_predictions")
    return pa.table([pa.array(columns[f.name]).cast(f.type) for f in schema], schema)


def tally_predictions(tables: Sequence[pa.Table], truth: TileTruth, n_trained: int) -> TileTally:
    """Score every fold of some repeats.

    Args:
        tables: From `tabulate_predictions`, of one encoder and split.
        truth: Of the tiles in them.
        n_trained: Tiles trained on for the test set; those of --tiles.
    """
    count, n_classes = len(truth.labels), len(truth.classes)
    tally = TileTally([], [], np.zeros(count), np.zeros((n_classes, n_classes), np.int64))
    for table in tables:
        codes = pc.index_in(table["predicted"], value_set=pa.array(truth.classes))
        predicted = codes.to_numpy().astype(np.int32)
        tally.right += (predicted == truth.labels) / len(tables)
        fold_of, choices = table["fold"].to_numpy(), table["choice"].to_numpy()
        first = table.slice(0, 1).to_pylist()[0]
        for fold in np.unique(fold_of):
            rows = np.flatnonzero(fold_of == fold)
            found = score_classes(truth.labels[rows], predicted[rows], n_classes)
            tally.confusion += found.confusion
            key = {name: first[name] for name in ("split", "encoder", "repeat")}
            key["fold"] = int(fold)
            trained = n_trained if first["split"] == "test" else count - len(rows)
            tally.scores.append(
                key
                | {"n_train": trained, "n_test": len(rows), "choice": float(choices[rows[0]])}
                | {"accuracy": found.accuracy, "balanced_accuracy": found.balanced_accuracy}
            )
            tally.recalls += [
                key | {"label": name, "n_test": int(tested), "recall": float(recall)}
                for name, tested, recall in zip(
                    truth.classes, found.confusion.sum(1), found.recalls, strict=True
                )
            ]
    return tally


def compare_encoders(
    split: str,
    tallies: Mapping[str, TileTally],
    truth: TileTruth,
    resamples: int,
    seed: int,
    fold_ids: npt.NDArray[np.integer] | None = None,
) -> list[Row]:
    """Compare every pair of encoders by every score, as rows of `tissue_comparisons.json`.

    Args:
        split: cv or test.
        tallies: By encoder.
        truth: Of the tiles of this split.
        resamples: Of the bootstrap of a set outside cross-validation.
        seed: Of its draws.
        fold_ids: (R, N) folds of the tiles; None: a set outside cross-validation, whose heads have
            seen none of it: its interval is a bootstrap, and there is no test.
    """
    folds = None if fold_ids is None else tile_folds(fold_ids, truth)
    rows = []
    for (a, one), (b, other) in itertools.combinations(tallies.items(), 2):
        for metric, label in list_metrics(truth):
            row: Row = {
                "split": split,
                "encoder_a": a,
                "encoder_b": b,
                "metric": metric,
                "label": label,
            }
            row["drawn"] = "tile" if truth.groups is None else "group"
            if folds is None:
                row |= _bootstrap(one, other, truth, metric, label, resamples, seed)
            else:
                row |= _test(one, other, truth, folds, metric, label)
            rows.append(row)
    for metric in {row["metric"] for row in rows}:
        chosen = [row for row in rows if row["metric"] == metric]
        adjusted = adjust_p([row["p_corrected"] for row in chosen])
        for row, q in zip(chosen, adjusted, strict=True):
            row["q_corrected"] = float(q)
    return rows


def to_table(name: str, rows: Sequence[Row]) -> pa.Table:
    """Tabulate rows as the schema `name`."""
    columns = {column: [row[column] for row in rows] for column in column_names(name)}
    return pa.table(columns, arrow_schema(name))


def tile_folds(fold_ids: npt.NDArray[np.integer], truth: TileTruth) -> TileFolds:
    """Number the independent units of labelled tiles."""
    if truth.groups is None:
        return TileFolds(fold_ids, np.arange(len(truth.labels)), grouped=False)
    units = np.unique(np.asarray(truth.groups, str), return_inverse=True)[1]
    return TileFolds(fold_ids, units, grouped=True)


_NOT_TESTED = dict.fromkeys(
    ("low", "high", "p_corrected", "t_low", "t_high", "p_plain"), float("nan")
)


def _bootstrap(
    one: TileTally,
    other: TileTally,
    truth: TileTruth,
    metric: str,
    label: str,
    resamples: int,
    seed: int,
) -> Row:
    rows = _tiles_of(truth, label)
    groups = None if truth.groups is None else np.asarray(truth.groups)[rows]
    classes = truth.labels if metric == "balanced_accuracy" else None
    better = other.right[rows] - one.right[rows]
    found = bootstrap_difference(better, classes, groups, resamples, seed)
    row = _NOT_TESTED | {"difference": found.estimate}
    if len(rows if groups is None else set(groups)) < FEWEST_UNITS:
        return row
    return row | {"low": found.low, "high": found.high}


def _test(
    one: TileTally, other: TileTally, truth: TileTruth, folds: TileFolds, metric: str, label: str
) -> Row:
    """Test a difference; its interval is that of the test, so that they never disagree."""
    differences = scores_by_fold(other, metric, label) - scores_by_fold(one, metric, label)
    sizes = [float(np.mean([row[name] for row in one.scores])) for name in ("n_train", "n_test")]
    found = test_metric(differences, folds, (sizes[0], sizes[1]), truth, metric, label)
    row = {name: value for name, value in found._asdict().items() if name != "df"}
    if np.isnan(found.difference):
        row["difference"] = _mean_difference(one, other, truth, metric, label)
    low, high = np.clip((found.t_low, found.t_high), -SHARE.span, SHARE.span).tolist()
    return row | {"low": low, "high": high, "t_low": low, "t_high": high}


def test_metric(
    scores: npt.NDArray[np.float64],
    folds: TileFolds,
    sizes: tuple[float, float],
    truth: TileTruth,
    metric: str,
    label: str,
) -> DifferenceTest:
    """Test scores of folds, or differences of them, by the independent units of a metric.

    Args:
        scores: (R * F,) from `scores_by_fold`.
        folds: Which tiles they test.
        sizes: Mean number of tiles trained on and tested.
        truth: Of the tiles.
        metric: accuracy, balanced_accuracy or recall.
        label: Class of a recall; else empty.
    """
    tiles, units = rows_of_metric(truth, metric, label)
    return test_folds(scores, folds, sizes, tiles, units)


test_metric.__test__ = False  # type: ignore[attr-defined]


def list_metrics(truth: TileTruth) -> list[tuple[str, str]]:
    """List every score as (metric, class of a recall)."""
    recalls = [("recall", truth.classes[number]) for number in np.unique(truth.labels)]
    return [("accuracy", ""), ("balanced_accuracy", ""), *recalls]


def rows_of_metric(truth: TileTruth, metric: str, label: str) -> tuple[npt.NDArray[np.intp], int]:
    """Find the tiles that a score is about, and count the independent units among them.

    Units of balanced accuracy are those of the rarest class.
    """
    tiles = _tiles_of(truth, label)
    units = tile_folds(np.empty((0, 0), np.int32), truth)
    if metric == "balanced_accuracy":
        return tiles, units.count_units(truth.labels)
    return tiles, len(np.unique(units.units[tiles]))


def scores_by_fold(tally: TileTally, metric: str, label: str) -> npt.NDArray[np.float64]:
    """(R * F,) repeat by repeat; nan where a fold has no tile of the class."""
    if label:
        return np.array([row["recall"] for row in tally.recalls if row["label"] == label])
    return np.array([row[metric] for row in tally.scores])


def _tiles_of(truth: TileTruth, label: str) -> npt.NDArray[np.intp]:
    """(n,) all tiles, or those of a class."""
    if not label:
        return np.arange(len(truth.labels))
    return np.flatnonzero(truth.labels == truth.classes.index(label))


def _mean_difference(
    one: TileTally, other: TileTally, truth: TileTruth, metric: str, label: str
) -> float:
    """Mean difference over tiles, where too few folds have a score for that over folds."""
    tiles = _tiles_of(truth, label)
    classes = truth.labels if metric == "balanced_accuracy" else None
    return resample_rows(other.right[tiles] - one.right[tiles], classes, None, 1, 0)[0]
