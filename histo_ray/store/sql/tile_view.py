"""The view `embeddings` where a query reads no vectors: over segments of tiles, and what is new."""

import logging
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from histo_ray.store.layout import Form, folder_path, is_given
from histo_ray.store.location import Location
from histo_ray.store.partition import VECTOR
from histo_ray.store.receipt_table import NAME
from histo_ray.store.sql.listed_views import ZARR
from histo_ray.store.sql.partition_scan import PartitionScan
from histo_ray.store.sql.quoting import quote_name, quote_paths, quote_text, select_nothing
from histo_ray.store.sql.views import embeddings_schema, replace_nan
from histo_ray.store.tile_segments import FILE, FolderTiles, find_tiles
from histo_ray.types import PartitionKey

_log = logging.getLogger(__name__)
_NEW = "histo_ray_new_zarr"
"""Name of Zarr partitions while a segment is made of them."""


def select_tiles(
    connection: duckdb.DuckDBPyConnection, root: Location, base: str, keep: bool
) -> str:
    """SQL of all tiles of a store, their vectors left empty; see `tile_segments`.

    Args:
        connection: Where the view will be; Zarr partitions of no segment are registered there.
        root: The store.
        base: The store, as DuckDB names it.
        keep: Whether segments may be written.

    Raises:
        UnreachableError: The store does not answer.
    """

    def write(encoder: str, tiling: str, part: pa.Table, built: Path) -> bool:
        return _write_tiles(connection, root, base, (encoder, tiling), part, built)

    folders = find_tiles(root, write if keep else None)
    schema = embeddings_schema(any(is_given(folder.tiling) for folder in folders))
    parts = [select_nothing(schema)]
    zarr: dict[PartitionKey, Form] = {}
    for folder in folders:
        parts += _select_folder(folder, base)
        names = _names_in(folder.rest, "zarr")
        zarr |= {PartitionKey(folder.encoder, folder.tiling, name): "zarr" for name in names}
    if zarr:
        connection.register(ZARR, PartitionScan(root, zarr, schema))
        parts.append(f"SELECT * EXCLUDE ({quote_name(VECTOR)}) FROM {ZARR}")
    return " UNION ALL BY NAME ".join(parts)


def _select_folder(folder: FolderTiles, base: str) -> list[str]:
    """SQL of the tiles of an encoder and tiling, but for Zarr partitions of no segment."""
    named = f"{quote_text(folder.encoder)} AS encoder, {quote_text(folder.tiling)} AS tiling"
    whole = [f"{base}/{segment.path}" for segment in folder.segments if not segment.dead]
    parts = [(whole, "")] if whole else []
    for segment in folder.segments:
        if segment.dead:
            dead = ", ".join(quote_text(name) for name in segment.dead)
            parts.append(([f"{base}/{segment.path}"], f" WHERE {FILE} NOT IN ({dead})"))
    selects = [
        f"SELECT * EXCLUDE ({FILE}), {named} FROM {_read(paths)}{condition}"
        for paths, condition in parts
    ]
    path = f"{base}/{folder_path(folder.encoder, folder.tiling)}"
    new = [f"{path}/{name}.parquet" for name in _names_in(folder.rest, "parquet")]
    if new:
        source = _read(new, labelled=is_given(folder.tiling))
        selects.append(f"SELECT * {replace_nan(VECTOR)}, {named} FROM {source}")
    return selects


def _write_tiles(
    connection: duckdb.DuckDBPyConnection,
    root: Location,
    base: str,
    names: tuple[str, str],
    part: pa.Table,
    built: Path,
) -> bool:
    """Write the tiles of some partitions into a local Parquet file; False if that fails."""
    columns = ", ".join(quote_name(name) for name in _own_columns())
    path = f"{base}/{folder_path(*names)}"
    selects = []
    if parquet := _names_in(part, "parquet"):
        source = _read([f"{path}/{name}.parquet" for name in parquet], filename=True)
        files = f"SELECT * {replace_nan(VECTOR)} FROM {source}"
        selects.append(f"SELECT parse_path(filename)[-1] AS {FILE}, {columns} FROM ({files})")
    if zarr := _names_in(part, "zarr"):
        keys: dict[PartitionKey, Form] = {PartitionKey(*names, name): "zarr" for name in zarr}
        connection.register(_NEW, PartitionScan(root, keys, embeddings_schema()))
        selects.append(f"SELECT slide_id || '.zarr' AS {FILE}, {columns} FROM {_NEW}")
    try:
        connection.execute(
            f"COPY ({' UNION ALL '.join(selects)}) TO {quote_text(str(built))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
    except duckdb.Error as error:
        _log.debug("%s: no segment of tiles (%s)", path, error)  # the query itself will say it
        return False
    finally:
        connection.unregister(_NEW)
    return True


def _own_columns() -> list[str]:
    """Columns of a partition that is no tile set, without vectors."""
    others = (VECTOR, "encoder", "tiling")
    return [name for name in embeddings_schema().names if name not in others]


def _names_in(listed: pa.Table, form: Form) -> list[str]:
    """Partitions of one form in a listing."""
    pairs = zip(listed[NAME].to_pylist(), listed["format"].to_pylist(), strict=True)
    return [name for name, own in pairs if own == form]


def _read(paths: Sequence[str], *, labelled: bool = False, filename: bool = False) -> str:
    """SQL of the rows of some Parquet files."""
    options = [f"union_by_name = {str(labelled).lower()}", "hive_partitioning = false"]
    if filename:
        options.append("filename = true")
    return f"read_parquet({quote_paths(paths)}, {', '.join(options)})"
