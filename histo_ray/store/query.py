"""SQL over a store: DuckDB with one view a table; what holds nothing yet is an empty view."""

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from histo_ray.errors import StoreError
from histo_ray.schema import arrow_schema, column_names
from histo_ray.store.catalog import Partitions
from histo_ray.store.layout import EMBEDDINGS, RUNS, is_given
from histo_ray.store.location import Location

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

_log = logging.getLogger(__name__)

_GLOB_CHARACTERS = re.compile(r"[*?\[\]]")


def run_query(
    root: Location,
    partitions: Partitions,
    read_slides: "Callable[[], pd.DataFrame]",
    query: str,
) -> "duckdb.DuckDBPyRelation":
    """Run SQL over the views `embeddings`, `slides` and `runs`.

    Args:
        root: The store.
        partitions: All of its partitions.
        read_slides: Reads every receipt; called only if the query says `slides`.
        query: One SQL statement.

    Returns:
        DuckDB's relation, evaluated as it is read.

    Raises:
        StoreError: The query asks for a view of files one of which is damaged.
    """
    import duckdb

    connection = duckdb.connect()
    base = root.path
    if not root.local:
        from fsspec.implementations.arrow import ArrowFSWrapper

        system = ArrowFSWrapper(root.system)
        connection.register_filesystem(system)
        base = f"{system.protocol}://{root.path}"
    views: dict[str, Callable[[], None]] = {
        "embeddings": lambda: _view_embeddings(connection, root, base, partitions),
        "runs": lambda: _view_runs(connection, root, base),
    }
    for name, make in views.items():
        try:
            make()
        except duckdb.Error as error:  # of a damaged file; no matter to a query of other views
            if re.search(rf"\b{name}\b", query, re.IGNORECASE):
                raise StoreError(
                    f"store {root.path}: view {name} cannot be made "
                    f"({' '.join(str(error).split())[:300]}); store verify names the damaged file"
                ) from None
    if re.search(r"\bslides\b", query, re.IGNORECASE):
        connection.register("slides", pa.Table.from_pandas(read_slides(), arrow_schema("slides")))
    return connection.sql(query)


def _view_embeddings(
    connection: "duckdb.DuckDBPyConnection", root: Location, base: str, partitions: Partitions
) -> None:
    hidden = sum(form == "zarr" for form in partitions.values())
    if hidden:
        _log.warning(
            "store %s: %d Zarr partitions are not visible to SQL; "
            "convert them with histo-ray store convert --to parquet",
            root.path,
            hidden,
        )
    if hidden == len(partitions):
        names = [*column_names("embeddings"), "encoder", "tiling"]
        fields = {name: pa.string() for name in names} | {
            field.name: field.type for field in arrow_schema("embeddings", 1, "float32")
        }
        fields["embedding"] = pa.list_(pa.float32())
        connection.register("embeddings", pa.schema(fields).empty_table())
        return
    source = _quote_files(root, base, f"{EMBEDDINGS}/*/*/*.parquet")
    # Columns are those of the first file unless all files are asked, which takes a look at each.
    mixed = "true" if any(is_given(key.tiling) for key in partitions) else "false"
    connection.execute(
        f"CREATE VIEW embeddings AS SELECT * FROM read_parquet({source}, "  # noqa: S608 - quoted
        f"hive_partitioning = true, hive_types_autocast = false, union_by_name = {mixed})"
    )


def _view_runs(connection: "duckdb.DuckDBPyConnection", root: Location, base: str) -> None:
    if not any(name.endswith(".parquet") for name in root.child(RUNS).names()):
        fields = [pa.field("run_id", pa.string()), *arrow_schema("runs")]
        connection.register("runs", pa.schema(fields).empty_table())
        return
    source = _quote_files(root, base, f"{RUNS}/*.parquet")
    connection.execute(
        "CREATE VIEW runs AS SELECT parse_filename(filename, true) AS run_id, "  # noqa: S608
        f"* EXCLUDE (filename) FROM read_parquet({source}, filename = true, "
        "union_by_name = true)"  # older tables have fewer columns
    )


def _quote_files(root: Location, base: str, pattern: str) -> str:
    """SQL for the files of a pattern: the pattern, or a list where the root has wildcards."""
    if not _GLOB_CHARACTERS.search(base):
        return _quote(f"{base}/{pattern}")
    folder = root.child(pattern.partition("/")[0])
    depth = pattern.count("/")
    paths = [info.path.removeprefix(root.path + "/") for info in folder.walk()]
    fitting = [p for p in paths if p.endswith(".parquet") and p.count("/") == depth]
    return "[" + ", ".join(_quote(f"{base}/{path}") for path in sorted(fitting)) + "]"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
