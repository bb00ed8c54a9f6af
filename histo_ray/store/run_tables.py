"""Writes and reads the tables of a store's extraction runs."""

import io
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.errors import StoreError
from histo_ray.schema import arrow_schema, optional_names
from histo_ray.storage.native import native
from histo_ray.storage.seal import MARKS, check_bytes, seal_bytes
from histo_ray.store.arrow_columns import value_column
from histo_ray.store.atomic_write import write_bytes
from histo_ray.store.catalog import open_marker
from histo_ray.store.extraction_record import ExtractionState, RunRecord, pack_record, unpack_record
from histo_ray.store.layout import RUNS, run_path
from histo_ray.store.location import THREADS, Location, location_of
from histo_ray.types import RunRow

if TYPE_CHECKING:
    import pandas as pd

_SUFFIX = ".parquet"
_SINCE_2: dict[str, str | bool | None] = {"patient_id": "", "synthetic": False, "site": None}
"""What a table says that was written before it had the column."""


def read_runs(store: str) -> "tuple[list[pd.DataFrame], list[str]]":
    """All run tables of a store; a damaged one is skipped and named.

    Args:
        store: Local folder or URI of the store.

    Returns:
        Tables as `schemas/runs.json`, oldest first, and a line on each that could not be read.
    """
    root = location_of(store)
    tables, problems = [], []
    for name in root.child(RUNS).names():  # a run's id begins with the time of its start
        if not name.endswith(_SUFFIX):
            continue
        try:
            tables.append(_complete(_open_table(root, f"{RUNS}/{name}").read()).to_pandas())
        except (OSError, KeyError, ValueError, pa.ArrowException):
            problems.append(f"{RUNS}/{name}: cannot be read, so slides that it lost are not told")
    return tables, problems


def write_run_table(
    root: Location, run_id: str, rows: Sequence[RunRow], record: RunRecord | None
) -> None:
    """Write, or write anew, the table of a run: a row a slide and encoder, and its record."""
    own = tuple(n for n in optional_names("runs") if any(getattr(row, n) for row in rows))
    schema = arrow_schema("runs", optional=own)
    columns = [
        value_column([getattr(row, field.name) for row in rows], field.type) for field in schema
    ]
    if record is not None:
        schema = schema.with_metadata(pack_record(record))
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        writer.add_key_value_metadata(MARKS)
    write_bytes(root, run_path(run_id), seal_bytes(sink.getvalue()))


class Runs(NamedTuple):
    """The newest runs of a store."""

    records: list[RunRecord]
    """Newest first."""
    problems: list[str]
    """A line on each table that could not be read."""
    older: int
    """Runs that were not asked for."""


def list_runs(store: str, last: int) -> Runs:
    """What the newest runs of a store say of themselves.

    Args:
        store: Local folder or URI of the store.
        last: So many runs at most.

    Raises:
        StoreError: There is no store.
    """
    root, names = _run_names(store)
    asked = names[:last]

    def read(name: str) -> RunRecord | str:
        try:
            return _read_record(name, _open_table(root, run_path(name)))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            return f"{run_path(name)}: cannot be read ({_first_line(error)})"

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(read, asked))
    return Runs(
        [record for record in found if isinstance(record, RunRecord)],
        [problem for problem in found if isinstance(problem, str)],
        len(names) - len(asked),
    )


def read_run(store: str, run_id: str) -> "tuple[RunRecord, pd.DataFrame]":
    """One run: its record, and its table as `schemas/runs.json`.

    Args:
        store: Local folder or URI of the store.
        run_id: Its id, or the beginning of it that no other run shares.

    Raises:
        StoreError: No such run, several, or one whose table is damaged.
    """
    root, names = _run_names(store)
    fitting = [n for n in names if n == run_id] or [n for n in names if n.startswith(run_id)]
    if len(fitting) != 1:
        found = f"{len(fitting)} runs begin so" if fitting else "no such run"
        raise StoreError(f"run {run_id!r}: {found}; histo-ray runs {store} lists what is there")
    (name,) = fitting
    try:
        parquet = _open_table(root, run_path(name))
        return _read_record(name, parquet), _complete(parquet.read()).to_pandas()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            f"run {name}: {run_path(name)} is damaged ({_first_line(error)}); delete it, which "
            "touches no partition"
        ) from None


def _run_names(store: str) -> tuple[Location, list[str]]:
    """The store, and the ids of its runs, newest first."""
    root = location_of(store)
    open_marker(root, create=False)
    names = [name for name in root.child(RUNS).names() if name.endswith(_SUFFIX)]
    return root, [name.removesuffix(_SUFFIX) for name in reversed(names)]


def _open_table(root: Location, path: str) -> pq.ParquetFile:
    """A run's table, held against its own digest; one is some kB.

    Raises:
        ValueError: Its bytes are not those that were written.
    """
    data = root.child(path).read_bytes()
    if check_bytes(data) == "damaged":
        raise ValueError("its bytes are not those that were written")
    return pq.ParquetFile(native(data))


def _read_record(run_id: str, file: Any) -> RunRecord:
    """The record of a table, or what can be told of one that has none."""
    record = unpack_record(file.schema_arrow.metadata)
    if record is not None:
        return record
    table = _complete(file.read())
    began = ""
    with suppress(ValueError):  # an id that is not of our making
        stamp = datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%S")
        began = stamp.replace(tzinfo=UTC).isoformat()
    return RunRecord(
        run_id=run_id,
        state=ExtractionState.UNKNOWN,
        began_at=began,
        encoders=tuple(sorted(set(table["encoder"].to_pylist()))),
        outcomes=dict(Counter(table["outcome"].to_pylist())),
        slides=len(table["slide_id"].unique()),
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _complete(table: pa.Table) -> pa.Table:
    """The columns of today, in order; raises KeyError where an old one is missing."""
    own = tuple(name for name in ("tiling",) if name in table.column_names)
    schema = arrow_schema("runs", optional=own)
    for name, value in _SINCE_2.items():
        if name not in table.column_names:
            kind = schema.field(name).type
            table = table.append_column(name, pa.array([value] * len(table), kind))
    return table.select(schema.names)
