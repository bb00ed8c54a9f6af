"""Partitions as Parquet: what DuckDB, pandas, Polars and Arrow read without knowing of us.

Vectors are PLAIN, uncompressed and one page a row group, so that a bag is read without decoding;
a page that does not prove to be so is decoded by pyarrow, with the same result.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.errors import StoreError
from histo_ray.schema import arrow_schema, column_names, optional_names
from histo_ray.storage.seal import BLANK, SEAL_KEY, TAIL_BYTES, check_stream, find_seal
from histo_ray.store.arrow_columns import number_column, repeated_text, value_column
from histo_ray.store.footer import GUESS_BYTES, find_receipt_text, footer_bytes
from histo_ray.store.layout import Form
from histo_ray.store.location import Location, Span, byte_view, read_spans
from histo_ray.store.pages import LAYOUT, LAYOUT_KEY, Chunk, is_single_page, locate_chunks
from histo_ray.store.partition import (
    RECEIPT_KEY,
    VECTOR,
    Conclude,
    Shape,
    Tally,
    first_line,
    regroup_rows,
    unreadable,
)
from histo_ray.store.receipts import parse_receipt
from histo_ray.store.replaced import removed, unreplaced
from histo_ray.types import Floats, Receipt, TileRows

UNREADABLE = (OSError, ValueError, KeyError, MemoryError, pa.ArrowException)
"""What pyarrow raises on damaged files."""

_OPTIONAL = optional_names("embeddings")
_SCALARS = [name for name in column_names("embeddings", _OPTIONAL) if name != VECTOR]
_NUMBERS = ["x", "y", "tissue", "focus"]


class ParquetFormat:
    """One file a partition; the receipt is in its footer."""

    form: Form = "parquet"

    def write(
        self, target: Path, shape: Shape, rows: Iterable[TileRows], conclude: Conclude
    ) -> Receipt:
        """Write a whole partition; memory holds one row group."""
        schema = arrow_schema("embeddings", shape.dim, shape.dtype, shape.text_columns)
        tally = Tally()
        with target.open("wb") as file:
            sink = _HashedFile(file)
            with pq.ParquetWriter(sink, schema, **_writer_options(schema)) as writer:
                for block in regroup_rows(rows, shape, shape.block_rows):
                    table = _make_table(block, schema, shape.slide_id, tally.count)
                    writer.write_table(table, row_group_size=len(block))
                    tally.add(block)
                receipt = conclude(tally.totals())
                writer.add_key_value_metadata(
                    {
                        RECEIPT_KEY: receipt.model_dump_json(),
                        LAYOUT_KEY: LAYOUT,
                        SEAL_KEY: BLANK,
                    }
                )
        _seal_file(target, sink.digest.hexdigest())
        return receipt

    def read_receipt(self, location: Location) -> Receipt:
        """The receipt, from the footer alone."""
        return parse_receipt(self.read_receipt_text(location), location.path)

    def read_receipt_text(self, location: Location) -> bytes:
        """The receipt's JSON, from the footer alone."""
        try:
            text = find_receipt_text(_read_footer(location))
            if text is not None:
                return text
            with location.open() as file:
                return _pick_receipt(pq.read_metadata(file).metadata, location.path)
        except FileNotFoundError:
            raise removed(location.path) from None
        except UNREADABLE as error:
            raise unreadable(location.path, error) from None

    def read_bag(self, location: Location) -> tuple[npt.NDArray[np.int32], Floats]:
        """All coords (N, 2) and embeddings (N, D)."""
        try:
            with location.open() as file, unreplaced(location.path, _look_at(location, file)):
                source = pq.ParquetFile(file)
                axes = source.read(columns=["x", "y"], use_threads=False)
                chunks = _find_chunks(source)
                vectors = None if chunks is None else _read_straight(location, file, source, chunks)
                if vectors is None:
                    vectors = _decode(source, source.read(columns=[VECTOR]))
            if len(vectors) != len(axes):
                raise ValueError(f"{len(vectors)} vectors for {len(axes)} tiles")
        except FileNotFoundError:
            raise removed(location.path) from None
        except UNREADABLE as error:
            raise unreadable(location.path, error) from None
        coords = np.stack([axes["x"].to_numpy(), axes["y"].to_numpy()], axis=1)
        return coords.astype(np.int32, copy=False), vectors

    def read_rows(self, location: Location) -> Iterator[TileRows]:
        """All rows, a row group at a time."""
        with location.open() as file:
            source = pq.ParquetFile(file, page_checksum_verification=True)
            chunks = _find_chunks(source)
            names = [name for name in _OPTIONAL if name in source.schema_arrow.names]
            for group in range(source.num_row_groups):
                table = source.read_row_group(group, columns=[*_NUMBERS, *names])
                chunk = chunks[group : group + 1] if chunks else None
                vectors = _read_straight(location, file, source, chunk) if chunk else None
                if vectors is None:
                    vectors = _decode(source, source.read_row_group(group, columns=[VECTOR]))
                x, y, tissue, focus = (table[name].to_numpy() for name in _NUMBERS)
                texts = {name: _as_text(table[name]) for name in names}
                yield TileRows(np.stack([x, y], axis=1), tissue, focus, vectors, texts)

    def read_columns(self, location: Location) -> TileRows:
        """All rows without their vectors: embeddings are (N, 0)."""
        try:
            with location.open() as file:
                source = pq.ParquetFile(file)
                names = [name for name in _OPTIONAL if name in source.schema_arrow.names]
                table = source.read(columns=[*_NUMBERS, *names])
        except UNREADABLE as error:
            raise unreadable(location.path, error) from None
        x, y, tissue, focus = (table[name].to_numpy() for name in _NUMBERS)
        texts = {name: _as_text(table[name]) for name in names}
        coords = np.stack([x, y], axis=1)
        return TileRows(coords, tissue, focus, np.empty((len(x), 0), np.float16), texts)

    def read_texts(self, location: Location) -> dict[str, npt.NDArray[np.str_]]:
        """(N,) of each optional column that it has."""
        try:
            with location.open() as file:
                source = pq.ParquetFile(file)
                names = [name for name in _OPTIONAL if name in source.schema_arrow.names]
                table = source.read(columns=names)
        except UNREADABLE as error:
            raise unreadable(location.path, error) from None
        return {name: _as_text(table[name]) for name in names}

    def find_problems(self, location: Location) -> list[str]:
        """Changed bytes, and columns or types other than a partition has."""
        try:
            problems = _check_seal(location)
            with location.open() as file:
                source = pq.ParquetFile(file)
                texts = tuple(name for name in _OPTIONAL if name in source.schema_arrow.names)
                problems += _compare_columns(source.schema_arrow, texts)
                ids = None if problems else source.read(columns=["slide_id", "tile_id"])
                text = _pick_receipt(source.metadata.metadata, location.path)
                receipt = parse_receipt(text, location.path)
                name = receipt.slide.slide_id
        except UNREADABLE as error:
            return [f"not readable as Parquet ({first_line(error)})"]
        except StoreError as error:
            return [*problems, str(error)]
        if texts != receipt.text_columns:
            problems.append(f"optional columns {texts}, {receipt.text_columns} by the receipt")
        if ids is not None and set(ids["slide_id"].unique().to_pylist()) - {name}:
            problems.append(f"column slide_id: not {name!r} throughout")
        if ids is not None and not np.array_equal(ids["tile_id"], np.arange(len(ids))):
            problems.append("column tile_id: not 0, 1, 2, ...")
        return problems


class _HashedFile(io.RawIOBase):
    """A file being written front to back, and the digest of its bytes."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return int(self._file.write(data))

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())


def _read_footer(location: Location) -> bytes:
    """The last bytes of a file, its whole footer among them if it is Parquet."""
    tail = location.read_end(GUESS_BYTES)
    size = footer_bytes(tail)
    return tail if size <= len(tail) else location.read_end(size)


def _pick_receipt(metadata: dict[bytes, bytes] | None, path: str) -> bytes:
    """The receipt's JSON among a file's metadata.

    Raises:
        StoreError: There is none.
    """
    text = (metadata or {}).get(RECEIPT_KEY.encode())
    if text is None:
        raise StoreError(
            f"{path}: no receipt inside, so it is no partition; delete it and extract it again"
        )
    return text


def _writer_options(schema: pa.Schema) -> dict[str, object]:
    scalars = [name for name in _SCALARS if name in schema.names]
    texts = [name for name in ("slide_id", *_OPTIONAL) if name in schema.names]
    return {
        "compression": {**dict.fromkeys(scalars, "ZSTD"), f"{VECTOR}.list.element": "NONE"},
        "use_dictionary": texts,
        "write_statistics": scalars,
        "data_page_size": 1 << 30,
        "data_page_version": "1.0",
        "write_page_checksum": True,
    }


def _make_table(rows: TileRows, schema: pa.Schema, slide_id: str, first: int) -> pa.Table:
    vectors = np.ascontiguousarray(rows.embeddings).reshape(-1)
    columns = {
        "slide_id": repeated_text(slide_id, len(rows)),
        "tile_id": number_column(np.arange(first, first + len(rows), dtype=np.int32)),
        "x": number_column(rows.coords[:, 0].astype(np.int32)),
        "y": number_column(rows.coords[:, 1].astype(np.int32)),
        "tissue": number_column(rows.tissue.astype(np.float32)),
        "focus": number_column(rows.focus.astype(np.float32)),
        VECTOR: pa.FixedSizeListArray.from_arrays(
            number_column(vectors), type=schema.field(VECTOR).type
        ),
        **{name: value_column(values.tolist(), pa.string()) for name, values in rows.texts.items()},
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _seal_file(path: Path, digest: str) -> None:
    """Put the digest of the file, as it is with a blank seal, where the blank is."""
    with path.open("r+b") as file:
        start = max(0, file.seek(0, io.SEEK_END) - TAIL_BYTES)
        file.seek(start)
        found = find_seal(file.read())
        if found is None or found[1] != BLANK:
            raise RuntimeError(f"{path}: the writer's footer holds no blank seal")
        file.seek(start + found[0])
        file.write(digest.encode())


def _check_seal(location: Location) -> list[str]:
    with location.open() as file:
        state = check_stream(file)
    if state == "unsealed":
        return ["no digest of itself: written or changed by something else, or truncated"]
    return [] if state == "sealed" else ["bytes differ from those that were written"]


def _compare_columns(found: pa.Schema, text_columns: tuple[str, ...]) -> list[str]:
    """What a schema has, lacks or types differently from a partition's."""
    kind = found.field(VECTOR).type if VECTOR in found.names else None
    dim, dtype = 1, "float16"
    if kind is not None and pa.types.is_fixed_size_list(kind):
        dim = kind.list_size
        dtype = "float32" if pa.types.is_float32(kind.value_type) else "float16"
    expected = arrow_schema("embeddings", dim, dtype, text_columns)
    problems = [f"column {name}: missing" for name in expected.names if name not in found.names]
    problems += [f"column {name}: unknown" for name in found.names if name not in expected.names]
    for field in expected:
        if field.name in found.names and found.field(field.name).type != field.type:
            problems.append(
                f"column {field.name}: {found.field(field.name).type} instead of {field.type}"
            )
    return problems


def _vector_kind(source: pq.ParquetFile) -> tuple[int, np.dtype[Any]]:
    kind = source.schema_arrow.field(VECTOR).type
    if not pa.types.is_fixed_size_list(kind):
        raise ValueError(f"column {VECTOR} is {kind}, not a list of fixed size")
    return int(kind.list_size), np.dtype(kind.value_type.to_pandas_dtype())


def _find_chunks(source: pq.ParquetFile) -> list[Chunk] | None:
    dim, dtype = _vector_kind(source)
    return locate_chunks(source.metadata, dim, dtype.itemsize)


def _look_at(location: Location, file: Any) -> Callable[[], object]:
    """How an open file looks now, for `unreplaced`.

    A local one stays the same while it is open. Of an object, each request gives what is there by
    then: the first look is that of its opening.
    """
    if location.local:
        return lambda: None
    looks = [file.metadata()]

    def look() -> object:
        if looks:
            return looks.pop()
        with location.open() as now:
            return now.metadata()

    return look


def _read_straight(
    location: Location, file: Any, source: pq.ParquetFile, chunks: list[Chunk]
) -> Floats | None:
    """The vectors of consecutive chunks without decoding; None if a page is not as it should be."""
    dim, dtype = _vector_kind(source)
    vectors = np.empty((sum(chunk.rows for chunk in chunks), dim), dtype)
    room = byte_view(vectors)
    spans, at = [], 0
    for chunk in chunks:
        body = room[at : at + chunk.value_bytes]
        spans.append(Span(chunk.offset, bytearray(chunk.head_bytes), body))
        at += chunk.value_bytes
    read_spans(location, spans, file)
    proven = (is_single_page(bytes(span.head), len(span.body)) for span in spans)
    return vectors if all(proven) else None


def _as_text(column: pa.ChunkedArray) -> npt.NDArray[np.str_]:
    return np.array(column.to_pylist(), np.str_)


def _decode(source: pq.ParquetFile, table: pa.Table) -> Floats:
    dim, dtype = _vector_kind(source)
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table[VECTOR].chunks]
    flat = np.concatenate([np.empty(0, dtype), *parts])
    return flat.reshape(-1, dim)
