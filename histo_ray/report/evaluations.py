"""Evaluations of a store that a report is about: find, choose and read them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from histo_ray.errors import StoreError
from histo_ray.evaluate.evaluation_record import (
    OLDEST,
    EvaluationRecord,
    PatientRecord,
    TissueRecord,
)
from histo_ray.evaluate.tasks.base import TaskWords
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.external.validations import (
    ChosenValidations,
    choose_validations,
    list_validations,
)
from histo_ray.schema import column_names, first_names, optional_names
from histo_ray.storage.native import native
from histo_ray.store.store import open_store
from histo_ray.store.tables import EVALUATIONS, TableFolder, open_evaluation
from histo_ray.text import did_you_mean, join_or

_TARGET_TABLES = ("targets", "comparisons", "cohort")
"""Tables of an evaluation of patients that the report holds."""


@dataclass(frozen=True)
class TileEvaluation:
    """An evaluation on labelled tiles."""

    run_id: str
    record: TissueRecord
    words: TaskWords
    grouped: bool = False
    """Whether groups of tiles were kept in one fold; only looked up for runs without `tests`."""


@dataclass(frozen=True)
class TargetEvaluation:
    """An evaluation on patients, with one or many targets."""

    run_id: str
    record: PatientRecord
    words: TaskWords
    targets: pd.DataFrame
    comparisons: pd.DataFrame
    cohort: pd.DataFrame
    folder: TableFolder
    """Folder of the tables that are too large to be held: scores and predictions."""


ShownEvaluation = TileEvaluation | TargetEvaluation


class OtherEvaluation(NamedTuple):
    """An evaluation that is in the store but not in the report."""

    task: str
    run_id: str
    record: EvaluationRecord


@dataclass
class ChosenEvaluations:
    """The evaluations that a report is about, and those that it names only."""

    runs: list[ShownEvaluation] = field(default_factory=list)
    """In the order of the registry of tasks."""
    problems: list[str] = field(default_factory=list)
    """Evaluations that could not be read, one line each."""
    others: list[OtherEvaluation] = field(default_factory=list)
    """Whole evaluations that are not shown, the newest of each task first."""
    external: ChosenValidations = field(default_factory=ChosenValidations)
    """Validations of predictors on this store's patients."""


@dataclass(frozen=True)
class _Found:
    task: str
    run_id: str
    folder: TableFolder
    record: EvaluationRecord | None
    problem: str


def choose_runs(store: str, runs: Sequence[str] = ()) -> ChosenEvaluations:
    """Read the newest evaluation of each task and validation of each predictor, or those named.

    A run that cannot be read is skipped and named; an older one of its task takes its place.

    Args:
        store: Local folder or URI of the store.
        runs: Ids of evaluations and validations; all of them are read, and no other.

    Raises:
        StoreError: No store, no evaluation, none that can be read, or not those that are named.
    """
    root = open_store(store).root
    found = list(_find(store))
    validations = [run for run, _ in list_validations(root)]
    if not found and not validations:
        commands = join_or([f"histo-ray evaluate {task}" for task in TASKS])
        raise StoreError(f"store {store} holds no evaluation yet; make one with {commands}")
    known = {*validations, *(one.run_id for one in found)}
    missing = [run for run in runs if run not in known]
    if missing:
        there = ", ".join(f"{one.run_id} ({one.task})" for one in found)
        near = did_you_mean(missing[0], [one.run_id for one in found])
        raise StoreError(
            f"--run {', '.join(missing)}: store {store} holds no such evaluation; it has {there}"
            f"{near}"
        )
    chosen = ChosenEvaluations(external=choose_validations(root, runs))
    chosen.problems += chosen.external.problems
    for task in TASKS:
        of_task = [one for one in found if one.task == task]
        chosen.problems += [one.problem for one in of_task if one.problem and not runs]
        _choose(of_task, runs, chosen)
        shown = {(run.record.task, run.run_id) for run in chosen.runs}
        chosen.others += [
            OtherEvaluation(task, one.run_id, one.record)
            for one in _newest_first(of_task)
            if one.record is not None and (task, one.run_id) not in shown
        ]
    if not chosen.runs and not chosen.external.validations:
        raise StoreError(
            f"store {store}: none of its evaluations can be read ({'; '.join(chosen.problems)}); "
            "run histo-ray evaluate again"
        )
    return chosen


def read_rows(
    folder: TableFolder, name: str, columns: Sequence[str], targets: Sequence[str]
) -> pd.DataFrame:
    """Read some columns of a table, of some targets only; the rest is never held.

    Raises:
        StoreError: It is not there, is damaged, or lacks a column.
    """
    with _open_table(folder, name, columns) as file:
        filters = [("target", "in", list(targets))]
        rows: pd.DataFrame = pq.read_table(
            native(file), columns=list(columns), filters=filters
        ).to_pandas()
    return rows


def read_batches(folder: TableFolder, name: str, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Read some columns of a table, piece by piece.

    Raises:
        StoreError: It is not there, is damaged, or lacks a column.
    """
    with _open_table(folder, name, columns) as file:
        for batch in pq.ParquetFile(file).iter_batches(columns=list(columns)):
            yield batch.to_pandas()


def _find(store: str) -> Iterator[_Found]:
    root = open_evaluation(store, next(iter(TASKS)), "x").root
    for task in TASKS:
        for run_id in root.child(f"{EVALUATIONS}/{task}").names():
            try:
                folder = open_evaluation(store, task, run_id)
            except StoreError:  # a stray file, as of an editor
                continue
            if folder.root.child(folder.folder).kind() == "folder":
                yield _look_at(folder, task, run_id)


def _look_at(folder: TableFolder, task: str, run_id: str) -> _Found:
    record, problem = None, ""
    try:
        said = folder.read_note("run")
        if said is None:
            problem = "no run.json, so it did not end; the same command finishes it"
        else:
            record = TASKS[task].record.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"run.json is damaged ({where}: {first['msg'].lower()})"
    except (OSError, StoreError):
        problem = "run.json is damaged (no JSON, or not as it was written)"
    problem = f"{EVALUATIONS}/{task}/{run_id}: {problem}" if problem else ""
    return _Found(task, run_id, folder, record, problem)


def _choose(found: Sequence[_Found], runs: Sequence[str], chosen: ChosenEvaluations) -> None:
    """Add what can be read: all that are named, else the newest."""
    if runs:
        candidates = [one for one in found if one.run_id in runs]
        chosen.problems += [one.problem for one in candidates if one.problem]
    else:
        candidates = _newest_first(found)
    for one in candidates:
        if one.record is None:
            continue
        try:
            chosen.runs.append(_read_run(one, one.record))
        except StoreError as error:
            chosen.problems.append(str(error))
            continue
        if not runs:
            return
    _tell_apart(chosen.runs, found[0].task if found else "")


def _tell_apart(runs: list[ShownEvaluation], task: str) -> None:
    """Name the run in the titles of several runs of one task."""
    alike = [at for at, run in enumerate(runs) if run.record.task == task]
    for at in alike if len(alike) > 1 else ():
        title = f"{runs[at].words.title} ({runs[at].run_id})"
        runs[at] = replace(runs[at], words=replace(runs[at].words, title=title))


def _newest_first(found: Sequence[_Found]) -> list[_Found]:
    """Sort those with a record by the time when they were made, then by their ids."""
    whole = [one for one in found if one.record is not None]
    whole.sort(key=lambda one: one.run_id, reverse=True)
    return sorted(whole, key=lambda one: one.record.created if one.record else OLDEST, reverse=True)


def _read_run(found: _Found, record: EvaluationRecord) -> ShownEvaluation:
    task = TASKS[found.task]
    words = task.words
    if isinstance(record, TissueRecord):
        grouped = record.tests is None and _has_groups(found.folder)
        return TileEvaluation(found.run_id, record, words, grouped)
    assert isinstance(record, PatientRecord)  # noqa: S101 - there is no third
    if isinstance(task, PatientTask):
        words = task.choose_words(record)
    tables = {name: _read_table(found.folder, name) for name in _TARGET_TABLES}
    pairs = tables["comparisons"]
    if all(pair.endpoint is None for pair in record.pairs):  # of before 0.5
        pairs["q_found"] = pairs["q_corrected"]
    of_encoders = tables["targets"]["encoder"].isin(list(record.encoders))
    tables["targets"] = tables["targets"][of_encoders]  # rows of covariates are told apart
    return TargetEvaluation(found.run_id, record, words, folder=found.folder, **tables)


def _read_table(folder: TableFolder, name: str) -> pd.DataFrame:
    """Read a table; columns that the first version of its schema lacked are nan where missing."""
    columns = column_names(f"outcome_{name}")
    with _open_table(folder, name, first_names(f"outcome_{name}")) as file:
        there = set(pq.read_schema(file).names)
        columns += [column for column in optional_names(f"outcome_{name}") if column in there]
        known = [column for column in columns if column in there]
        frame: pd.DataFrame = pq.read_table(native(file), columns=known).to_pandas()
    return frame.reindex(columns=columns)


def _has_groups(folder: TableFolder) -> bool:
    try:
        with _open_table(folder, "folds", ["group"]) as file:
            return any(pq.read_table(file, columns=["group"])["group"].unique().to_pylist())
    except StoreError:  # the page needs no folds
        return False


@contextmanager
def _open_table(folder: TableFolder, name: str, columns: Sequence[str]) -> Iterator[Any]:
    """Open a Parquet file that has some columns."""
    path = f"{folder.folder}/{name}.parquet"
    try:
        with folder.root.child(path).open() as file:
            missing = set(columns) - set(pq.read_schema(file).names)
            if missing:
                raise StoreError(
                    f"{path} has no column {', '.join(sorted(missing))}, which another version of "
                    "histo-ray left out; run the evaluation again with this one"
                )
            yield file
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(
            f"{path}: the table cannot be read ({str(error).partition(chr(10))[0]}); remove the "
            "run's folder and evaluate again"
        ) from None
