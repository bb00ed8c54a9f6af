"""Reads the rows of a small CSV or Parquet table, each with its place in the file."""

import csv
import io
from dataclasses import dataclass
from typing import Any, Literal

from histo_ray.errors import ConfigError
from histo_ray.storage import locate
from histo_ray.storage.files import read_file
from histo_ray.storage.native import native

Unit = Literal["line", "row"]

MOST_BYTES = 2**30
"""Largest file of a table: millions of slides."""


@dataclass(frozen=True)
class TableRow:
    """One row."""

    number: int
    """Line in a CSV (the header is line 1), row in a Parquet file (the first is row 1)."""
    values: dict[str, Any]
    """Cell by column; a CSV's cells are text."""
    problem: str = ""
    """What is wrong with the row as a row; empty if nothing."""


def read_table(uri: str, what: str = "manifest") -> tuple[Unit, list[str], list[TableRow]]:
    """Read all rows of a manifest or another small table.

    Args:
        uri: Local path or URI; a name ending in `.parquet` or `.pq` is Parquet, any other CSV.
        what: What the table is, for messages.

    Returns:
        What `number` counts, the columns, and the rows that are not blank.

    Raises:
        ConfigError: Not there, or not such a table.
    """
    unit: Unit
    location = locate(uri)
    try:
        data = read_file(*location, MOST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{what} {uri}: cannot be read ({' '.join(str(error).split())}); check the path"
        ) from error
    if uri.lower().endswith((".parquet", ".pq")):
        unit = "row"
        names, rows = _parse_parquet(data, uri, what)
    else:
        unit = "line"
        names, rows = _parse_csv(data, uri, what)
    if not names:
        raise ConfigError(
            f"{what} {uri}: the file is empty; write a header and a row for each entry"
        )
    return unit, names, rows


def _parse_parquet(data: bytes, uri: str, what: str) -> tuple[list[str], list[TableRow]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(native(data))
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(
            f"{what} {uri}: not readable as Parquet ({' '.join(str(error).split())}); write it "
            "again, or give a CSV"
        ) from error
    _check_header(table.column_names, uri, what)
    rows = [TableRow(number, values) for number, values in enumerate(table.to_pylist(), 1)]
    return table.column_names, rows


def _parse_csv(data: bytes, uri: str, what: str) -> tuple[list[str], list[TableRow]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{what} {uri}: byte {error.start} is not UTF-8; save the file as UTF-8 text"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                _check_header(header, uri, what)
                continue
            values = dict(zip(header, [*cells, *[""] * len(header)], strict=False))
            extra = len(cells) > len(header)
            problem = (
                f"{len(cells)} cells, but {len(header)} columns in the header" if extra else ""
            )
            rows.append(TableRow(reader.line_num, values, problem))
    except csv.Error as error:
        raise ConfigError(
            f"{what} {uri}: line {reader.line_num} is not CSV ({error}); correct the line"
        ) from error
    return header, rows


def _check_header(names: list[str], uri: str, what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(
            f"{what} {uri}: column {', '.join(repeated)} is there more than once; rename or remove "
            "all but one"
        )
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            raise ConfigError(
                f"{what} {uri}: its columns are separated by {name}; save it as CSV with commas"
            )
