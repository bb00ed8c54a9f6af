"""SQL texts of names, paths and types. Pure: whatever a file is called, it stays a text."""

import re
from collections.abc import Iterable

import pyarrow as pa

_WILDCARD = re.compile(r"[*?\[]")
_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.list_(pa.float32()): "FLOAT[]",
}


def quote_text(text: str) -> str:
    """SQL of a text."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """SQL of the name of a view or column."""
    return '"' + name.replace('"', '""') + '"'


def escape_path(path: str) -> str:
    """The pattern that only this path matches: DuckDB takes every path for a pattern."""
    return _WILDCARD.sub(lambda found: f"[{found[0]}]", path)


def quote_paths(paths: Iterable[str]) -> str:
    """SQL of a list of files, each taken as it is called."""
    return "[" + ", ".join(quote_text(escape_path(path)) for path in paths) + "]"


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type that tables of a store have."""
    return _TYPES[kind]


def select_nothing(schema: pa.Schema) -> str:
    """SQL of a table without rows that has the columns of a schema."""
    columns = (f"NULL::{sql_type(f.type)} AS {quote_name(f.name)}" for f in schema)
    return f"SELECT {', '.join(columns)} WHERE false"
