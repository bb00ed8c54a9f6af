"""Which evaluations a store holds, and what they found. Reads only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from histo_ray.errors import StoreError
from histo_ray.evaluate.record import OLDEST, OutcomeNote, RunNote, TissueNote
from histo_ray.schema import column_names
from histo_ray.storage.native import native
from histo_ray.store.store import open_store
from histo_ray.store.tables import EVALUATIONS, TableFolder, open_evaluation
from histo_ray.text import did_you_mean

TASKS = ("tissue", "expression", "mutation")
_OUTCOME_TABLES = ("targets", "comparisons", "cohort")


@dataclass(frozen=True)
class TissueRun:
    """A tissue evaluation."""

    run_id: str
    note: TissueNote
    grouped: bool = False
    """Whether groups of tiles were kept in one fold; only looked up for runs without `tests`."""


@dataclass(frozen=True)
class OutcomeRun:
    """An evaluation of expression or mutation."""

    run_id: str
    note: OutcomeNote
    targets: pd.DataFrame
    comparisons: pd.DataFrame
    cohort: pd.DataFrame
    folder: TableFolder
    """Of what is too large to be held: scores and predictions."""


Run = TissueRun | OutcomeRun


class Unshown(NamedTuple):
    """A run that is in the store and not in the report."""

    task: str
    run_id: str
    note: RunNote


@dataclass
class Chosen:
    """What a report is about."""

    runs: list[Run] = field(default_factory=list)
    """In the order of `TASKS`."""
    problems: list[str] = field(default_factory=list)
    """Runs that could not be read, one line each."""
    others: list[Unshown] = field(default_factory=list)
    """Runs that are whole and that the report is not about, the newest of each task first."""


@dataclass(frozen=True)
class _Found:
    task: str
    run_id: str
    folder: TableFolder
    note: RunNote | None
    problem: str


def choose_runs(store: str, runs: Sequence[str] = ()) -> Chosen:
    """Read the newest evaluation of each task, or those that are named.

    A run that cannot be read is skipped and named; an older one of its task takes its place.

    Args:
        store: Local folder or URI of the store.
        runs: Ids of evaluations; all of them are read, and no other.

    Raises:
        StoreError: No store, no evaluation, none that can be read, or not those that are named.
    """
    open_store(store)
    found = list(_find(store))
    if not found:
        raise StoreError(
            f"store {store} holds no evaluation yet; make one with histo-ray evaluate tissue, "
            "histo-ray evaluate expression or histo-ray evaluate mutation"
        )
    missing = [run for run in runs if run not in {one.run_id for one in found}]
    if missing:
        there = ", ".join(f"{one.run_id} ({one.task})" for one in found)
        near = did_you_mean(missing[0], [one.run_id for one in found])
        raise StoreError(
            f"--run {', '.join(missing)}: store {store} holds no such evaluation; it has {there}"
            f"{near}"
        )
    chosen = Chosen()
    for task in TASKS:
        of_task = [one for one in found if one.task == task]
        chosen.problems += [one.problem for one in of_task if one.problem and not runs]
        _choose(of_task, runs, chosen)
        shown = {(run.note.task, run.run_id) for run in chosen.runs}
        chosen.others += [
            Unshown(task, one.run_id, one.note)
            for one in _newest_first(of_task)
            if one.note is not None and (task, one.run_id) not in shown
        ]
    if not chosen.runs:
        raise StoreError(
            f"store {store}: none of its evaluations can be read ({'; '.join(chosen.problems)}); "
            "run histo-ray evaluate again"
        )
    return chosen


def read_rows(
    folder: TableFolder, name: str, columns: Sequence[str], targets: Sequence[str]
) -> pd.DataFrame:
    """Some columns of a table, of some targets only; the rest is never held.

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
    """Some columns of a table, piece by piece.

    Raises:
        StoreError: It is not there, is damaged, or lacks a column.
    """
    with _open_table(folder, name, columns) as file:
        for batch in pq.ParquetFile(file).iter_batches(columns=list(columns)):
            yield batch.to_pandas()


def _find(store: str) -> Iterator[_Found]:
    root = open_evaluation(store, TASKS[0], "x").root
    for task in TASKS:
        for run_id in root.child(f"{EVALUATIONS}/{task}").names():
            try:
                folder = open_evaluation(store, task, run_id)
            except StoreError:  # a stray file, as of an editor
                continue
            if folder.root.child(folder.folder).kind() == "folder":
                yield _look_at(folder, task, run_id)


def _look_at(folder: TableFolder, task: str, run_id: str) -> _Found:
    note, problem = None, ""
    kind = TissueNote if task == "tissue" else OutcomeNote
    try:
        said = folder.read_note("run")
        if said is None:
            problem = "no run.json, so it did not end; the same command finishes it"
        else:
            note = kind.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"run.json is damaged ({where}: {first['msg'].lower()})"
    except (OSError, StoreError):
        problem = "run.json is damaged (no JSON, or not as it was written)"
    problem = f"{EVALUATIONS}/{task}/{run_id}: {problem}" if problem else ""
    return _Found(task, run_id, folder, note, problem)


def _choose(found: Sequence[_Found], runs: Sequence[str], chosen: Chosen) -> None:
    """Add what can be read: of those named all, else the newest."""
    if runs:
        wanted = [one for one in found if one.run_id in runs]
        chosen.problems += [one.problem for one in wanted if one.problem]
    else:
        wanted = _newest_first(found)
    for one in wanted:
        if one.note is None:
            continue
        try:
            chosen.runs.append(_read_run(one, one.note))
        except StoreError as error:
            chosen.problems.append(str(error))
            continue
        if not runs:
            return


def _newest_first(found: Sequence[_Found]) -> list[_Found]:
    """Those with a note."""
    wanted = [one for one in found if one.note is not None]
    wanted.sort(key=lambda one: one.run_id, reverse=True)
    return sorted(wanted, key=lambda one: one.note.created if one.note else OLDEST, reverse=True)


def _read_run(found: _Found, note: RunNote) -> Run:
    if isinstance(note, TissueNote):
        return TissueRun(found.run_id, note, note.tests is None and _has_groups(found.folder))
    assert isinstance(note, OutcomeNote)  # noqa: S101 - there is no third
    tables = {}
    for name in _OUTCOME_TABLES:
        columns = column_names(f"outcome_{name}")
        with _open_table(found.folder, name, columns) as file:
            tables[name] = pq.read_table(native(file), columns=columns).to_pandas()
    return OutcomeRun(found.run_id, note, folder=found.folder, **tables)


def _has_groups(folder: TableFolder) -> bool:
    try:
        with _open_table(folder, "folds", ["group"]) as file:
            return any(pq.read_table(file, columns=["group"])["group"].unique().to_pylist())
    except StoreError:  # the page needs no folds
        return False


@contextmanager
def _open_table(folder: TableFolder, name: str, columns: Sequence[str]) -> Iterator[Any]:
    """A Parquet file that has some columns."""
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
