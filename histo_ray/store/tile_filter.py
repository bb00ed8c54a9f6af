"""A condition on the columns of tiles, as in the WHERE of SQL: `focus > 20 and ink < 0.05`.

DuckDB parses and evaluates it. Before DuckDB sees a text, a scanner lets nothing through but names
of columns, numbers, comparisons, brackets and a few keywords: no function, subquery, text, file or
second statement can be spelled with these.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.text import did_you_mean, join_or

if TYPE_CHECKING:
    import duckdb

OWN_COLUMNS = ("tile_id", "x", "y", "tissue", "focus")
"""Columns that every partition has."""
MEASURES = ("ink", "fold", "blur")
"""Columns that `store measure` adds."""
COLUMNS = (*OWN_COLUMNS, *MEASURES)

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![A-Za-z_0-9.])"
    r"|(?P<sign><=|>=|<>|!=|==|[<>=(),+-]))"
)
_COMMENT = re.compile(r"--|/\*")
_WORDS = frozenset({"and", "or", "not", "between", "in", "is", "null"})
_open = deferred("duckdb:connect")


@dataclass(frozen=True)
class TileFilter:
    """A condition that was checked."""

    text: str
    """In canonical spelling: the same condition with other spaces or capitals is the same text."""
    columns: tuple[str, ...]
    """Columns that it compares, each once."""
    may_be_null: frozenset[str]
    """Columns that it asks `is null` of: a slide may lack their values."""

    def find_rows(self, columns: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.int64]:
        """Find the tiles that fulfil it; NaN stands for NULL, so it fulfils no comparison.

        Args:
            columns: (N,) numbers of each of `self.columns` at least.

        Returns:
            (n,) rows, ascending.
        """
        count = len(next(iter(columns.values())))
        arrays = {name: pa.array(columns[name], from_pandas=True) for name in self.columns}
        table = pa.table({**arrays, "row_number": pa.array(np.arange(count))})
        found = _relate(table).filter(f"({self.text})").project("row_number").fetchnumpy()
        return np.sort(np.asarray(found["row_number"], np.int64))


def parse_where(text: str) -> TileFilter:
    """Read a condition on tiles.

    Args:
        text: Comparisons (`=`, `<>`, `<`, `<=`, `>`, `>=`, `between`, `in`, `is null`) of columns
            and numbers, joined by `and`, `or`, `not` and brackets.

    Raises:
        ConfigError: A column that no tile has, or no such condition.
    """
    tokens = _scan(text)
    columns = tuple(dict.fromkeys(token for token in tokens if token in COLUMNS))
    if not columns:
        raise _refuse(text, "it compares no column")
    canonical = " ".join(tokens).replace("( ", "(").replace(" )", ")").replace(" ,", ",")
    canonical = re.sub(r"(?<=[<>=(,]) ([+-]) (?=[\d.])", r" \1", canonical)
    nulls = frozenset(name for name, after in pairwise(tokens) if after == "is")
    found = TileFilter(canonical, columns, nulls & set(columns))
    _try_out(found, text)
    return found


def check_where(text: str) -> str:
    """Bring a setting `where` into its canonical spelling.

    Raises:
        ValueError: It is no condition.
    """
    try:
        return parse_where(text).text
    except ConfigError as error:
        raise ValueError(str(error).removeprefix(_name(text))) from None


def _scan(text: str) -> list[str]:
    """Cut a condition into names, keywords, numbers and signs, in canonical spelling."""
    if not isinstance(text, str):
        raise ConfigError(f"where={text!r}: a condition is text, such as 'focus > 20'")
    if found := _COMMENT.search(text):
        raise _refuse(text, f"{found[0]!r} begins a comment in SQL; write - (-1) for two signs")
    tokens, at, depth = list[str](), 0, 0
    body = text.rstrip()
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None:
            rest = body[at:].strip()
            raise _refuse(text, f"{rest[:20]!r} is neither a column, a number nor a comparison")
        word = match["name"]
        if word is not None and word.lower() not in _WORDS and word.lower() not in COLUMNS:
            near = did_you_mean(word.lower(), COLUMNS)
            raise ConfigError(
                f"{_name(text)}tiles have no column {word}; they have {join_or([*COLUMNS])}{near}"
            )
        sign = {"==": "=", "!=": "<>"}.get(match["sign"] or "", match["sign"])
        tokens.append(word.lower() if word else sign or match["number"].lower())
        at = match.end()
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
    if depth:
        raise _refuse(text, "its brackets do not match")
    return tokens


def _try_out(condition: TileFilter, text: str) -> None:
    """See that DuckDB takes it for a condition.

    Raises:
        ConfigError: It does not; says what it says.
    """
    import duckdb

    nothing = pa.table({name: pa.array([], pa.float32()) for name in condition.columns})
    try:
        kind = _relate(nothing).project(f"({condition.text})").types[0]
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        said = " ".join(str(error).split()).partition(" LINE ")[0].partition(": ")[2]
        if said == 'syntax error at or near ")"' and not condition.text.endswith(")"):
            said = "it ends where a number or a column is expected"  # the bracket is ours
        raise _refuse(text, said) from None
    if str(kind) != "BOOLEAN":
        raise _refuse(text, "it is a number, not a comparison")


def _relate(table: pa.Table) -> "duckdb.DuckDBPyRelation":
    return _connect().from_arrow(table)


def _connect() -> "duckdb.DuckDBPyConnection":
    """Connect to a database of one's own that sees neither files nor the network."""
    return _database().cursor()


@cache
def _database() -> "duckdb.DuckDBPyConnection":
    config = {"enable_external_access": "false", "lock_configuration": "true", "threads": "1"}
    connection: duckdb.DuckDBPyConnection = _open(":memory:", config=config)
    return connection


def _refuse(text: str, found: str) -> ConfigError:
    return ConfigError(
        f"{_name(text)}{found}; write comparisons of columns and numbers, as in "
        "'focus > 20 and (ink < 0.05 or ink is null)'"
    )


def _name(text: str) -> str:
    return f"where {text!r}: "
