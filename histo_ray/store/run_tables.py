"""Reads the tables of a store's extraction runs."""

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.schema import arrow_schema
from histo_ray.store.layout import RUNS
from histo_ray.store.place import place_at

if TYPE_CHECKING:
    import pandas as pd

_SUFFIX = ".parquet"
_SINCE_2 = {"patient_id": "", "synthetic": False}
"""What a table says that was written before it had the column."""


def read_runs(store: str) -> "tuple[list[pd.DataFrame], list[str]]":
    """All run tables of a store; a damaged one is skipped and named.

    Args:
        store: Local folder or URI of the store.

    Returns:
        Tables as `schemas/runs.json`, oldest first, and a line on each that could not be read.
    """
    root = place_at(store)
    tables, problems = [], []
    for name in root.child(RUNS).names():  # a run's id begins with the time of its start
        if not name.endswith(_SUFFIX):
            continue
        try:
            with root.child(f"{RUNS}/{name}").open() as file:
                tables.append(_complete(pq.read_table(file)).to_pandas())
        except (OSError, KeyError, pa.ArrowInvalid):
            problems.append(f"{RUNS}/{name}: cannot be read, so slides that it lost are not told")
    return tables, problems


def _complete(table: pa.Table) -> pa.Table:
    """The columns of today, in order; raises KeyError where an old one is missing."""
    schema = arrow_schema("runs")
    for name, value in _SINCE_2.items():
        if name not in table.column_names:
            kind = schema.field(name).type
            table = table.append_column(name, pa.array([value] * len(table), kind))
    return table.select(schema.names)
