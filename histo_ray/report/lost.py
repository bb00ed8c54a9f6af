"""Slides that extraction lost, and why, from the tables of its runs."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.schema import column_names
from histo_ray.store.layout import RUNS
from histo_ray.store.place import place_at

SUFFIX = ".parquet"
COLUMNS = ["slide_id", "outcome", "reason", "encoders"]


class Extraction(NamedTuple):
    """What extraction could not do, in all runs together."""

    lost: pd.DataFrame
    """slide_id, outcome (empty | failed), reason, encoders: one row a slide and reason."""
    problems: tuple[str, ...]
    """Run tables that could not be read."""


def read_extraction(store: str, encoders: Collection[str]) -> Extraction:
    """Read all run tables of a store; a damaged one is skipped and named.

    Args:
        store: Local folder or URI of the store.
        encoders: Whose slides are asked for.
    """
    root = place_at(store)
    tables, problems = [], []
    for name in root.child(RUNS).names():  # a run's id begins with the time of its start
        if not name.endswith(SUFFIX):
            continue
        try:
            with root.child(f"{RUNS}/{name}").open() as file:
                tables.append(pq.read_table(file).select(column_names("runs")).to_pandas())
        except (OSError, KeyError, pa.ArrowInvalid):
            problems.append(f"{RUNS}/{name}: cannot be read, so slides that it lost are not told")
    return Extraction(last_losses(tables, encoders), tuple(problems))


def last_losses(runs: Sequence[pd.DataFrame], encoders: Collection[str]) -> pd.DataFrame:
    """Slides that the last run to try them left without tiles. Pure.

    Args:
        runs: As `schemas/runs.json`, oldest first.
        encoders: Whose slides are asked for.

    Returns:
        The columns of `COLUMNS`, by slide.
    """
    if not runs:
        return pd.DataFrame(columns=COLUMNS)
    rows = pd.concat(runs, ignore_index=True)
    rows = rows[rows["encoder"].isin(list(encoders))]
    # an empty slide is skipped by later runs, which do not say again why it is empty
    rows = rows[(rows["outcome"] != "skipped") | (rows["n_tiles"] > 0)]
    last = rows.drop_duplicates(["slide_id", "encoder"], keep="last")
    lost = last[last["outcome"].isin(["empty", "failed"])].sort_values(["slide_id", "encoder"])
    joined = lost.groupby(COLUMNS[:3])["encoder"].agg(", ".join)
    return joined.rename("encoders").reset_index()
