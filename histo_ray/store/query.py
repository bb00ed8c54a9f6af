"""SQL over a store: DuckDB with one view a table; what holds nothing yet is an empty view."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from histo_ray.errors import StoreError
from histo_ray.store.catalog import list_partitions
from histo_ray.store.layout import RUNS, is_given
from histo_ray.store.location import Location
from histo_ray.store.sql.holdings import has_files, list_fitting, list_predicted
from histo_ray.store.sql.views import (
    ABOUT,
    CARDS,
    PREDICTED,
    TABLES,
    create_view,
    embeddings_schema,
    select_cards,
    select_empty,
    select_partitions,
    select_predicted,
    select_runs,
    select_tables,
)

if TYPE_CHECKING:
    import duckdb

ReadSlides = Callable[[], pa.Table]
"""Reads every receipt."""

ZARR = "zarr_embeddings"
"""Name of the view of Zarr partitions alone, where there are Parquet ones too."""


def run_query(root: Location, read_slides: ReadSlides, query: str) -> "duckdb.DuckDBPyRelation":
    """Run SQL over the views of a store: `embeddings`, `slides`, `runs`, `scores`, ...

    Views that the query does not name are there and empty; nothing is read for them.

    Args:
        root: The store.
        read_slides: Called only if the query names the view `slides`.
        query: SQL.

    Returns:
        DuckDB's relation, evaluated as it is read; None where a statement has no result.

    Raises:
        StoreError: The query names a view of files one of which is damaged.
    """
    import duckdb

    connection = duckdb.connect()
    base = _reach(connection, root)
    named = {name for name in ABOUT if _names(query, name)}
    try:
        for name in ABOUT:
            if name not in named:
                connection.execute(create_view(name, select_empty(name)))
        for name in sorted(named):
            _define(connection, root, base, name, read_slides)
        if not named or PREDICTED in query.lower():
            for table in list_predicted(root):
                name = f"{PREDICTED}{table}"
                connection.execute(create_view(name, select_predicted(base, table)))
    except duckdb.Error as error:
        raise StoreError(
            f"store {root.path}: view {name} cannot be made "
            f"({' '.join(str(error).split())[:300]}); store verify names the damaged file"
        ) from None
    return connection.sql(query)


def _reach(connection: "duckdb.DuckDBPyConnection", root: Location) -> str:
    """Have DuckDB reach the store; how it names the root."""
    if root.local:
        return root.path
    from fsspec.implementations.arrow import ArrowFSWrapper

    system = ArrowFSWrapper(root.system)
    connection.register_filesystem(system)
    return f"{system.protocol}://{root.path}"


def _names(query: str, name: str) -> bool:
    """Whether a query may ask for a view: its name is a word of it."""
    return bool(re.search(rf"\b{name}\b", query, re.IGNORECASE))


def _define(
    connection: "duckdb.DuckDBPyConnection",
    root: Location,
    base: str,
    name: str,
    read_slides: ReadSlides,
) -> None:
    """Make one view of what the store holds."""
    if name == "slides":
        connection.register(name, read_slides())
        return
    if name == "embeddings":
        _define_embeddings(connection, root, base)
        return
    query = select_empty(name)
    if name in TABLES:
        patterns = TABLES[name].choose_patterns(list_fitting(root, TABLES[name].files))
        query = select_tables(base, TABLES[name], patterns)
    if name in CARDS and has_files(root, CARDS[name].files):
        query = select_cards(base, CARDS[name])
    if name == RUNS and has_files(root, f"{RUNS}/*.parquet"):
        query = select_runs(base)
    connection.execute(create_view(name, query))


def _define_embeddings(connection: "duckdb.DuckDBPyConnection", root: Location, base: str) -> None:
    """Make the view of all tiles: DuckDB reads Parquet itself, Zarr comes through Arrow."""
    partitions = list_partitions(root)
    zarr = {key: form for key, form in partitions.items() if form == "zarr"}
    labelled = any(is_given(key.tiling) for key in partitions)
    parts = [select_partitions(base, labelled)] if len(zarr) < len(partitions) else []
    if zarr:
        from histo_ray.store.sql.partition_scan import PartitionScan

        connection.register(ZARR, PartitionScan(root, zarr, embeddings_schema(labelled)))
        parts.append(f"SELECT * FROM {ZARR}")  # noqa: S608 - a constant
    query = " UNION ALL BY NAME ".join(parts) or select_empty("embeddings")
    connection.execute(create_view("embeddings", query))
