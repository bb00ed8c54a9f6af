"""The cohort as a table: a row a slide with its outcome, tiles, labels and predictions. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

FIRST = ("slide_id", "outcome", "patient_id", "site", "tiles", "mpp")
"""Columns that every table begins with."""
LAST = ("encoders", "reason")
"""Columns that every table ends with."""
MOST_TARGETS = 3
"""Targets of an evaluation that are shown: those predicted best."""


@dataclass(frozen=True)
class EvaluatedTargets:
    """Out-of-fold predictions of one evaluation."""

    task: str
    predictions: pd.DataFrame
    """Columns of `schemas/outcome_predictions.json`."""
    scores: pd.DataFrame
    """target, encoder, score: the higher, the better."""


def tabulate_cohort(slides: pd.DataFrame, runs: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tabulate slides: those in the store, and those that extraction lost.

    Args:
        slides: One row a slide, encoder and tiling: `viewed_store.COLUMNS`.
        runs: Tables of runs, oldest first.

    Returns:
        Columns of `FIRST` and `LAST`, one row a slide, by slide_id; `tiles` of its first encoder
        and tiling.
    """
    groups = slides.sort_values("slide_id", kind="stable").groupby("slide_id", sort=True)
    firsts = groups.first()
    table = pd.DataFrame(
        {
            "patient_id": firsts["patient_id"],
            "site": firsts["site"].fillna(""),
            "outcome": ["done" if count else "empty" for count in firsts["n_tiles"]],
            "tiles": firsts["n_tiles"].astype(int),
            "encoders": groups["encoder"].agg(lambda names: ", ".join(sorted(set(names)))),
            "mpp": firsts["mpp_x"].astype(float),
            "reason": firsts["empty_reason"].fillna(""),
        }
    )
    lost = _find_lost(runs, set(table.index))
    if len(lost):
        table = pd.concat([table, lost]).sort_index()
    return table.rename_axis("slide_id").reset_index()[[*FIRST, *LAST]]


def _find_lost(runs: Sequence[pd.DataFrame], there: set[str]) -> pd.DataFrame:
    """Slides of which the store has nothing, with the outcome of the last run that tried them."""
    if not runs:
        return pd.DataFrame()
    rows = pd.concat(runs, ignore_index=True)
    rows = rows[(rows["n_tiles"] == 0) & ~rows["slide_id"].isin(there)]
    last = rows[rows["outcome"].isin(["failed", "empty"])].drop_duplicates("slide_id", keep="last")
    last = last.set_index("slide_id")
    return pd.DataFrame(
        {
            "patient_id": last["patient_id"],
            "site": last["site"].fillna(""),
            "outcome": last["outcome"],
            "tiles": 0,
            "encoders": "",
            "mpp": float("nan"),
            "reason": last["reason"],
        }
    )


def add_labels(table: pd.DataFrame, rows: Sequence[Mapping[str, object]], by: str) -> pd.DataFrame:
    """Add the columns of a label table.

    Args:
        table: From `tabulate_cohort`.
        rows: Rows of the label table; the first of a slide or patient counts.
        by: `slide_id` or `patient_id`.
    """
    labels = pd.DataFrame(list(rows))
    labels[by] = labels[by].astype(str)
    labels = labels.drop_duplicates(by).set_index(by)
    labels = labels.drop(columns=[name for name in labels if name in (*FIRST, *LAST, "path")])
    return _order(table.join(labels.map(_as_number), on=by))


def _as_number(cell: object) -> object:
    """A number where a cell says one, so that columns sort as numbers."""
    try:
        return float(str(cell))
    except ValueError:
        return cell


def add_predictions(table: pd.DataFrame, evaluated: EvaluatedTargets) -> pd.DataFrame:
    """Add label and mean out-of-fold prediction of the targets that are predicted best.

    Args:
        table: From `tabulate_cohort`.
        evaluated: Of one evaluation.
    """
    means = evaluated.scores.groupby(["target", "encoder"])["score"].mean().sort_values()
    best = dict(means.dropna().index.tolist())  # of a target's encoders the last, its best one
    ranked = sorted(best, key=lambda target: -means[target, best[target]])
    for target in ranked[:MOST_TARGETS]:
        encoder = best[target]
        rows = evaluated.predictions
        rows = rows[(rows["target"] == target) & (rows["encoder"] == encoder)]
        people = rows.groupby("patient_id")
        own = pd.DataFrame(
            {
                f"{target} ({evaluated.task})": people["truth"].first(),
                f"{target} predicted": people["predicted"].mean(),
            }
        )
        new = [name for name in own if name not in table]
        table = table.join(own[new], on="patient_id")
    return _order(table)


def _order(table: pd.DataFrame) -> pd.DataFrame:
    """Put the columns of `LAST` behind those that were added."""
    return table[[*(name for name in table if name not in LAST), *LAST]]
