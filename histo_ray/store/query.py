"""SQL over a store: DuckDB with one view a table; what holds nothing yet is an empty view."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from histo_ray.errors import StoreError
from histo_ray.store.catalog import list_partitions
from histo_ray.store.layout import QUALITY, RUNS, is_given
from histo_ray.store.location import Location
from histo_ray.store.partition import VECTOR
from histo_ray.store.sql.holdings import has_files, list_fitting, list_predicted
from histo_ray.store.sql.listed_views import (
    ABOUT,
    CARDS,
    PREDICTED,
    QUALITY_FILES,
    SLIDE_FILES,
    SLIDE_VECTORS,
    TABLES,
    ZARR,
)
from histo_ray.store.sql.quoting import select_nothing
from histo_ray.store.sql.views import (
    create_view,
    embeddings_schema,
    select_cards,
    select_empty,
    select_partitions,
    select_predicted,
    select_quality,
    select_runs,
    select_slide_vectors,
    select_tables,
)

if TYPE_CHECKING:
    import duckdb

ReadSlides = Callable[[], pa.Table]
"""Reads every receipt."""

_STAND_IN, _STOOD_FOR = "histo_ray_stand_in", "histo_ray_vectors"
"""Names of a table, and of its column of vectors, while DuckDB is asked for a query's plan."""


def run_query(
    root: Location, read_slides: ReadSlides, query: str, *, keep: bool = True
) -> "duckdb.DuckDBPyRelation":
    """Run SQL over the views of a store: `embeddings`, `slides`, `runs`, `scores`, ...

    Views that the query does not name are there and empty; nothing is read for them.

    Args:
        root: The store.
        read_slides: Called only if the query names the view `slides`.
        query: SQL.
        keep: Whether derived tables may be written into the store's cache.

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
        for name in sorted(named - {"embeddings"}):
            _define(connection, root, base, name, read_slides)
        for table in list_predicted(root) if not named or PREDICTED in query.lower() else ():
            name = f"{PREDICTED}{table}"
            _define_predicted(connection, base, table, asked=_names(query, name))
        if (name := "embeddings") in named:  # last: it asks for the plan
            _define_embeddings(connection, root, base, query, keep)
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
    query = select_empty(name)
    if name in TABLES:
        patterns = TABLES[name].choose_patterns(list_fitting(root, TABLES[name].files))
        query = select_tables(base, TABLES[name], patterns)
    if name in CARDS and has_files(root, CARDS[name].files):
        query = select_cards(base, CARDS[name])
    if name == RUNS and has_files(root, f"{RUNS}/*.parquet"):
        query = select_runs(base)
    if name == SLIDE_VECTORS and has_files(root, SLIDE_FILES):
        query = select_slide_vectors(base)
    if name == QUALITY and has_files(root, QUALITY_FILES):
        query = select_quality(base)
    connection.execute(create_view(name, query))


def _define_predicted(
    connection: "duckdb.DuckDBPyConnection", base: str, table: str, asked: bool
) -> None:
    """Make the view of the tables of one name in all folders of predictions."""
    import duckdb

    try:
        connection.execute(create_view(f"{PREDICTED}{table}", select_predicted(base, table)))
    except duckdb.Error:
        if asked:
            raise


def _define_embeddings(
    connection: "duckdb.DuckDBPyConnection", root: Location, base: str, query: str, keep: bool
) -> None:
    """Make the view of all tiles.

    A query that reads no vectors gets them from few large files. Otherwise DuckDB reads Parquet
    partitions itself, and Zarr ones through Arrow.
    """
    from histo_ray.store.sql.partition_scan import PartitionScan
    from histo_ray.store.sql.tile_view import select_tiles

    if not _needs_vectors(connection, root, query):
        connection.execute(create_view("embeddings", select_tiles(connection, root, base, keep)))
        return
    partitions = list_partitions(root)
    zarr = {key: form for key, form in partitions.items() if form == "zarr"}
    labelled = any(is_given(key.tiling) for key in partitions)
    parts = [select_nothing(embeddings_schema(labelled))]
    if len(zarr) < len(partitions):
        parts.append(select_partitions(base, labelled))
    if zarr:
        connection.register(ZARR, PartitionScan(root, zarr, embeddings_schema(labelled)))
        parts.append(f"SELECT * FROM {ZARR}")  # noqa: S608 - a constant
    connection.execute(create_view("embeddings", " UNION ALL BY NAME ".join(parts)))


def _needs_vectors(connection: "duckdb.DuckDBPyConnection", root: Location, query: str) -> bool:
    """Whether DuckDB would read vectors for a query: its plan over a stand-in names their column.

    Where there is no plan, as of several statements at once, it may.
    """
    import duckdb

    from histo_ray.store.sql.partition_scan import PartitionScan

    try:
        if len(connection.extract_statements(query)) != 1:
            return True
        schema = embeddings_schema(labelled=True)
        at = schema.get_field_index(VECTOR)
        named = schema.set(at, schema.field(at).with_name(_STOOD_FOR))
        connection.register(_STAND_IN, PartitionScan(root, {}, named))
        renamed = f"SELECT * RENAME ({_STOOD_FOR} AS {VECTOR}) FROM {_STAND_IN}"  # noqa: S608
        connection.execute(create_view("embeddings", renamed))
        plan = connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()
        connection.unregister(_STAND_IN)
    except duckdb.Error:  # of the query, which will say it itself
        return True
    return any(_STOOD_FOR in str(cell) for row in plan for cell in row)
