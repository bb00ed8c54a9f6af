"""Reads what the cohort's table shows: slides, runs, a label table, predictions."""

from typing import NamedTuple

import pandas as pd

from histo_ray.errors import ConfigError, StoreError
from histo_ray.slides.table import read_table
from histo_ray.store.tables import EVALUATIONS, TableFolder
from histo_ray.view.cohort_table import (
    EvaluatedTargets,
    add_labels,
    add_predictions,
    tabulate_cohort,
)
from histo_ray.view.viewed_store import ViewedStore

_SCORES = ("auroc", "pearson", "spearman", "c_index", "score")
"""Columns of a table of scores in which more is better, the first that it has."""


class Labels(NamedTuple):
    """A label table."""

    rows: list[dict[str, object]]
    """Cells by column."""
    by: str
    """Column by which they belong to slides: `slide_id` or `patient_id`."""


def read_cohort(store: ViewedStore, labels: Labels | None = None) -> pd.DataFrame:
    """Read the cohort's table; what cannot be read is told in `store.problems`.

    Args:
        store: Whose slides and evaluations.
        labels: Shown beside slides.
    """
    table = tabulate_cohort(store.slides, store.runs)
    if labels is not None:
        table = add_labels(table, labels.rows, labels.by)
    for task in store.root.child(EVALUATIONS).names():
        evaluated = _read_newest(store, task)
        if evaluated is not None:
            table = add_predictions(table, evaluated)
    return table


def read_labels(uri: str) -> Labels:
    """Read a label table, CSV or Parquet.

    Raises:
        ConfigError: It cannot be read, or has no such column.
    """
    _, names, rows = read_table(uri, "label table")
    for by in ("slide_id", "patient_id"):
        if by in names:
            return Labels([row.values for row in rows if not row.problem], by)
    raise ConfigError(
        f"--labels {uri}: it has the columns {', '.join(names[:8])}; one must be slide_id or "
        "patient_id"
    )


def _read_newest(store: ViewedStore, task: str) -> EvaluatedTargets | None:
    """Predictions of a task's newest evaluation of patients; None: there is none."""
    newest, folder = "", None
    for run in store.root.child(f"{EVALUATIONS}/{task}").names():
        found = TableFolder(store.root, f"{EVALUATIONS}/{task}/{run}")
        try:
            note = found.read_note("run")
        except StoreError as error:
            store.problems.append(str(error))
            continue
        made = "" if note is None else str(note.get("created_at", ""))
        if note is not None and made >= newest and "predictions.parquet" in found.names():
            newest, folder = made, found
    if folder is None:
        return None
    try:
        scores = folder.read("scores").to_pandas()
        predictions = folder.read("predictions").to_pandas()
    except StoreError as error:
        store.problems.append(str(error))
        return None
    column = next((name for name in _SCORES if name in scores and scores[name].notna().any()), None)
    if column is None or not {"target", "patient_id", "predicted"} <= set(predictions):
        return None  # of labelled tiles
    chosen = scores[scores["selected"]] if "selected" in scores else scores
    chosen = chosen[["target", "encoder", column]].rename(columns={column: "score"})
    return EvaluatedTargets(task, predictions, chosen)
