"""Tables that reviewers ask for, as the report reads them; a run of before 0.5 has none."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from histo_ray.errors import StoreError
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.targets.target_table import RankedTargets, rank_targets


class ReviewData(NamedTuple):
    """One table of one run."""

    table: pd.DataFrame
    """Without rows where the run has no such table."""
    problem: str = ""
    """Why it cannot be read; empty where it can, or is not there."""


class ScoredRow(NamedTuple):
    """Figures of one row; 0 where its table has no such column."""

    n_patients: int
    positives: int
    score: float
    low: float
    high: float


def index_rows(table: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, ...], ScoredRow]:
    """Index the figures of a table by some of its columns of text, in the order of its rows."""
    names = [table[key].tolist() for key in keys]
    figures = [
        table[name].tolist() if name in table else [0] * len(table) for name in ScoredRow._fields
    ]
    return {
        tuple(map(str, key)): ScoredRow(int(n), int(positives), *map(float, ends))
        for key, (n, positives, *ends) in zip(
            zip(*names, strict=True), zip(*figures, strict=True), strict=True
        )
    }


def read_review(run: TargetEvaluation, name: str) -> ReviewData:
    """Read a table of `evaluate/patients/review_tables.py`, if the run has it."""
    if f"{name}.parquet" not in run.folder.names():
        return ReviewData(pd.DataFrame())
    try:
        return ReviewData(run.folder.read(name).to_pandas())
    except StoreError as error:
        return ReviewData(pd.DataFrame(), str(error))


def tell_rest(left: int, table: str) -> str:
    """Tell how many rows a table of the page lacks; empty where it has all."""
    return f" {left:,} more rows are in {table}.parquet." if left > 0 else ""


def rank_run(run: TargetEvaluation) -> RankedTargets:
    """Order a run's targets by their best score with any encoder."""
    return rank_targets(run.targets, run.comparisons, list(run.record.encoders))


def title_of(run: TargetEvaluation, runs: list[TargetEvaluation]) -> str:
    """Name the run where a section is about several."""
    return f"{run.words.title}: " if len(runs) > 1 else ""
