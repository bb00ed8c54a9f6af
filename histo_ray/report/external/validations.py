"""External validations of a store that a report is about: find, choose and read them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from histo_ray.errors import StoreError
from histo_ray.predict.external.prediction_record import (
    PREDICTIONS,
    ComparisonRecord,
    PredictionRecord,
    ValidationRecord,
)
from histo_ray.predict.external.validation import COMPARISONS, CURVES, SCORES
from histo_ray.predict.made_once import read_record
from histo_ray.store.layout import check_slug
from histo_ray.store.location import Location
from histo_ray.store.tables import TableFolder

_VALIDATED, _COMPARED = "validate-", "compare-"


class Scored(NamedTuple):
    """One target, group and metric."""

    n_patients: int
    positives: int
    score: float
    low: float
    high: float
    trained: float
    trained_low: float
    trained_high: float
    optimism: float


def by_metric(scores: pd.DataFrame) -> dict[str, Scored]:
    """Scores of one target and group by metric.

    Args:
        scores: Its rows of `schemas/external_scores.json`.
    """
    columns = scores[["metric", *Scored._fields]].itertuples(index=False, name=None)
    return {str(metric): Scored(*figures) for metric, *figures in columns}


@dataclass(frozen=True)
class ShownValidation:
    """One predictor held against labels."""

    record: ValidationRecord
    predictions: PredictionRecord
    scores: pd.DataFrame
    """Rows of `schemas/external_scores.json`."""
    curves: pd.DataFrame
    """Rows of `schemas/external_curves.json`."""

    @property
    def overall(self) -> pd.DataFrame:
        """Scores of all patients."""
        return self.scores[self.scores["column"] == ""]

    @property
    def by_target(self) -> dict[str, dict[str, Scored]]:
        """Scores of all patients by target, best first, and by metric."""
        found = {str(name): by_metric(own) for name, own in self.overall.groupby("target")}
        main = self.record.metric

        def rank(name: str) -> tuple[bool, float]:
            score = found[name][main].score if main in found[name] else float("nan")
            return score != score, -score

        return {name: found[name] for name in sorted(found, key=rank)}


@dataclass(frozen=True)
class ShownComparison:
    """Predictors compared on the same patients."""

    record: ComparisonRecord
    table: pd.DataFrame
    """Rows of `schemas/external_comparisons.json`."""


@dataclass(frozen=True)
class ChosenValidations:
    """The validations that a report is about."""

    validations: tuple[ShownValidation, ...] = ()
    comparison: ShownComparison | None = None
    problems: tuple[str, ...] = ()
    """What could not be read, one line each."""


def list_validations(root: Location) -> list[tuple[str, str]]:
    """Run and folder of each validation and comparison in a store; nothing is read."""
    return [
        (made, f"{PREDICTIONS}/{predictor}/{run}/{made}")
        for predictor in root.child(PREDICTIONS).names()
        for run in root.child(f"{PREDICTIONS}/{predictor}").names()
        for made in root.child(f"{PREDICTIONS}/{predictor}/{run}").names()
        if made.startswith((_VALIDATED, _COMPARED))
    ]


def choose_validations(root: Location, runs: Sequence[str] = ()) -> ChosenValidations:
    """Read the newest validation of each predictor and the newest comparison, or those named.

    What cannot be read is skipped and named; an older one takes its place.

    Args:
        root: The store.
        runs: Ids; those of validations and comparisons among them are read, and no other.
    """
    there = [(run, folder) for run, folder in list_validations(root) if not runs or run in runs]
    problems: list[str] = []
    validated = list(_read(root, there, problems))
    validated.sort(key=lambda one: one.record.created_at, reverse=True)
    newest: dict[str, ShownValidation] = {}
    for one in validated:
        name = one.record.run_id if runs else one.record.predictor
        newest.setdefault(name, one)
    compared = sorted(
        _read_comparisons(root, there, problems),
        key=lambda one: one.record.created_at,
        reverse=True,
    )
    shown = tuple(sorted(newest.values(), key=lambda one: one.record.predictor))
    return ChosenValidations(shown, compared[0] if compared else None, tuple(problems))


def _read(
    root: Location, there: Sequence[tuple[str, str]], problems: list[str]
) -> Iterator[ShownValidation]:
    for run, path in there:
        if not run.startswith(_VALIDATED):
            continue
        folder = TableFolder(root, path)
        try:
            check_slug("run", run)
            record = read_record(folder, ValidationRecord)
            above = TableFolder(root, path.rpartition("/")[0])
            predictions = read_record(above, PredictionRecord)
            if record is None or predictions is None:
                continue  # it did not end; the same command finishes it
            scores, curves = (folder.read(name).to_pandas() for name in (SCORES, CURVES))
        except StoreError as error:
            problems.append(str(error))
            continue
        yield ShownValidation(record, predictions, scores, curves)


def _read_comparisons(
    root: Location, there: Sequence[tuple[str, str]], problems: list[str]
) -> Iterator[ShownComparison]:
    for run, path in there:
        if not run.startswith(_COMPARED):
            continue
        folder = TableFolder(root, path)
        try:
            record = read_record(folder, ComparisonRecord)
            if record is not None:
                yield ShownComparison(record, folder.read(COMPARISONS).to_pandas())
        except StoreError as error:
            problems.append(str(error))
