"""Slides that extraction lost, and why, from the tables of its runs."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pandas as pd

from histo_ray.schema import column_names
from histo_ray.store.run_tables import read_runs

COLUMNS = ["slide_id", "outcome", "reason", "encoders"]


class Extraction(NamedTuple):
    """What extraction could not do, in all runs together."""

    lost: pd.DataFrame
    """slide_id, outcome (empty | failed), reason, encoders: one row a slide and reason."""
    problems: tuple[str, ...]
    """Run tables that could not be read."""
    synthetic: frozenset[str] = frozenset()
    """Patients with slides that a manifest marks as synthetic."""
    failed: frozenset[str] = frozenset()
    """Slides that failed with every encoder that was asked for: no receipt tells of them."""


def read_extraction(store: str, encoders: Collection[str]) -> Extraction:
    """Read all run tables of a store; a damaged one is skipped and named.

    Args:
        store: Local folder or URI of the store.
        encoders: Whose slides are asked for.
    """
    tables, problems = read_runs(store)
    return Extraction(
        last_losses(tables, encoders),
        tuple(problems),
        frozenset(find_synthetic(tables)["patient_id"]) - {""},
        frozenset(last_failures(tables, encoders)["slide_id"]),
    )


def last_losses(runs: Sequence[pd.DataFrame], encoders: Collection[str]) -> pd.DataFrame:
    """Slides that the last run to try them left without tiles. Pure.

    Args:
        runs: As `schemas/runs.json`, oldest first.
        encoders: Whose slides are asked for.

    Returns:
        The columns of `COLUMNS`, by slide.
    """
    last = _last_rows(runs, encoders)
    lost = last[last["outcome"].isin(["empty", "failed"])].sort_values(["slide_id", "encoder"])
    joined = lost.groupby(COLUMNS[:3])["encoder"].agg(", ".join)
    return joined.rename("encoders").reset_index()


def last_failures(runs: Sequence[pd.DataFrame], encoders: Collection[str]) -> pd.DataFrame:
    """Slides that the last run to try them failed on, with every encoder that tried. Pure.

    Args:
        runs: As `schemas/runs.json`, oldest first.
        encoders: Whose slides are asked for.

    Returns:
        slide_id, patient_id (empty where unknown) and reason, one row a slide.
    """
    last = _last_rows(runs, encoders)
    whole = (last["outcome"] == "failed").groupby(last["slide_id"]).transform("all")
    rows = last[whole.astype(bool)].drop_duplicates("slide_id").sort_values("slide_id")
    return rows[["slide_id", "patient_id", "reason"]].reset_index(drop=True)


def last_stored(runs: Sequence[pd.DataFrame], encoders: Collection[str]) -> pd.DataFrame:
    """Slides of which the last run to try them left tiles in the store. Pure.

    Args:
        runs: As `schemas/runs.json`, oldest first.
        encoders: Whose slides are asked for.

    Returns:
        slide_id, patient_id (empty where unknown) and encoder, one row a slide and encoder.
    """
    last = _last_rows(runs, encoders)
    there = last[last["outcome"].isin(["done", "skipped"]) & (last["n_tiles"] > 0)]
    return there[["slide_id", "patient_id", "encoder"]].reset_index(drop=True)


def find_synthetic(runs: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Slides that their manifest marks as synthetic: slide_id, patient_id. Pure.

    The last run that names a slide decides: a mark that was put wrongly can be taken back.
    """
    if not runs:
        return pd.DataFrame(columns=["slide_id", "patient_id"])
    last = pd.concat(runs, ignore_index=True).drop_duplicates("slide_id", keep="last")
    return last.loc[last["synthetic"], ["slide_id", "patient_id"]]


def _last_rows(runs: Sequence[pd.DataFrame], encoders: Collection[str]) -> pd.DataFrame:
    """What became of each slide and encoder in the end."""
    if not runs:
        return pd.DataFrame(columns=column_names("runs"))
    rows = pd.concat(runs, ignore_index=True)
    rows = rows[rows["encoder"].isin(list(encoders))]
    # an empty slide is skipped by later runs, which do not say again why it is empty
    rows = rows[(rows["outcome"] != "skipped") | (rows["n_tiles"] > 0)]
    return rows.drop_duplicates(["slide_id", "encoder"], keep="last")
