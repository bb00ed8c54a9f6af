"""Partitions that DuckDB cannot open, as an Arrow dataset that it scans like a table.

DuckDB takes an object of `pyarrow.dataset.Dataset` for a table: it asks for the schema, and for a
scanner of the columns and rows that a query needs, as often as it needs them. Lance's datasets come
to DuckDB by the same way. Decision 24 has what else was measured.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from histo_ray.store.catalog import FORMATS
from histo_ray.store.half_floats import widen
from histo_ray.store.layout import Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.partition import VECTOR
from histo_ray.store.partition_vectors import read_partition_rows
from histo_ray.types import PartitionKey, TileRows

KEYS = ("encoder", "tiling", "slide_id")


class PartitionScan(ds.Dataset):  # type: ignore[misc]  # pyarrow has no types
    """Partitions of a store as one Arrow dataset; memory holds a block of rows."""

    def __init__(
        self, root: Location, partitions: Mapping[PartitionKey, Form], schema: pa.Schema
    ) -> None:
        """Take what is to be read; no file is opened.

        Args:
            root: The store.
            partitions: What is scanned.
            schema: As `embeddings_schema` gives it.
        """
        self._root = root
        self._schema = schema
        self._keys = {partition_path(key, form): (key, form) for key, form in partitions.items()}

    @property
    def schema(self) -> pa.Schema:
        """Columns of the dataset."""
        return self._schema

    def scanner(
        self,
        columns: list[str] | None = None,
        filter: pc.Expression | None = None,
        **options: Any,
    ) -> ds.Scanner:
        """Scan some columns of the rows that pass a filter; vectors are read if they are needed."""
        with_vectors = columns is None or VECTOR in columns or VECTOR in str(filter)
        schema = self._schema
        if not with_vectors:
            schema = schema.remove(schema.get_field_index(VECTOR))
        batches = self._read(self._choose(filter), schema)
        return ds.Scanner.from_batches(batches, schema=schema, columns=columns, filter=filter)

    def _choose(self, filter: pc.Expression | None) -> list[str]:
        """Paths of the partitions that can have rows which pass, by what their keys say."""
        if filter is None:
            return list(self._keys)
        named = ds.FileSystemDataset.from_paths(  # opens nothing: paths stand for keys
            list(self._keys),
            schema=self._schema,
            format=ds.ParquetFileFormat(),
            filesystem=pa.fs.LocalFileSystem(),
            partitions=[_equal(key) for key, _ in self._keys.values()],
        )
        return [fragment.path for fragment in named.get_fragments(filter)]

    def _read(self, paths: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for path in paths:
            key, form = self._keys[path]
            location = self._root.child(path)
            if VECTOR not in schema.names:
                yield to_batch(key, FORMATS[form].read_columns(location), 0, schema)
                continue
            first = 0
            for rows in read_partition_rows(location, form):
                yield to_batch(key, rows, first, schema)
                first += len(rows)


def to_batch(key: PartitionKey, rows: TileRows, first: int, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a partition as Arrow columns.

    Args:
        key: Of the partition.
        rows: Some of its rows.
        first: tile_id of the first.
        schema: Which columns, and their types.
    """
    count = len(rows)
    columns: Mapping[str, Any] = {
        "slide_id": pa.repeat(key.slide_id, count),
        "tile_id": np.arange(first, first + count, dtype=np.int32),
        "x": np.ascontiguousarray(rows.coords[:, 0]),
        "y": np.ascontiguousarray(rows.coords[:, 1]),
        "tissue": rows.tissue,
        "focus": rows.focus,
        "encoder": pa.repeat(key.encoder, count),
        "tiling": pa.repeat(key.tiling, count),
        **{name: values.tolist() for name, values in rows.texts.items()},
    }
    arrays = []
    for field in schema:
        if field.name == VECTOR:
            arrays.append(_as_lists(rows))
        else:
            values = columns.get(field.name, [None] * count)
            arrays.append(pa.array(values, field.type, from_pandas=True))  # NaN: not measured
    return pa.record_batch(arrays, schema=schema)


def _as_lists(rows: TileRows) -> pa.Array:
    """Vectors as lists of float32: DuckDB knows no halves in Arrow, and widths may differ."""
    count, dim = rows.embeddings.shape
    offsets = np.arange(0, (count + 1) * dim, dim, dtype=np.int32) if dim else [0] * (count + 1)
    values = widen(rows.embeddings).reshape(-1)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def _equal(key: PartitionKey) -> pc.Expression:
    parts = [pc.field(name) == getattr(key, name) for name in KEYS]
    return parts[0] & parts[1] & parts[2]
