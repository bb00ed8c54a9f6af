"""What every form of a partition has in common: the protocol, the facts and the running tally."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from histo_ray._version import __version__
from histo_ray.config import digest as config_digest
from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage.trouble import explain, is_remote
from histo_ray.store.layout import Form
from histo_ray.store.location import Location
from histo_ray.types import (
    EncoderFacts,
    Floats,
    ImportFacts,
    PartitionKey,
    Receipt,
    SlideFacts,
    TileRows,
    TilingFacts,
)

FIRST_VERSION, FORMAT_VERSION = 1, 4
"""Versions of the format of stores and receipts: the first, and the newest that this code writes.

Since version 2 receipts may have fields that 0.1.0 takes for damage, since version 3 some that
0.3.0 does (imported partitions), since version 4 some that 0.4.0 does (plugins of encoders and
segmenters); the first such receipt raises the version of its store (`version_of`).
"""

RECEIPT_KEY = "histo_ray"
VECTOR = "embedding"

BLOCK_BYTES = 4 << 20
"""Vectors that are written, and read by predicate, in one piece."""


@dataclass(frozen=True)
class PartitionFacts:
    """What a writer knows of a partition before its first row."""

    slide: SlideFacts
    tiling: TilingFacts
    encoder: EncoderFacts
    run_id: str
    empty_reason: str = ""
    """Why there will be no rows; empty where there will be some."""
    text_columns: tuple[str, ...] = ()
    """Optional columns that every row will have."""
    imported: ImportFacts | None = None
    """Where the rows are imported from; None: they are made here."""

    @property
    def key(self) -> PartitionKey:
        """The partition's identity."""
        return PartitionKey(self.encoder.name, self.tiling.fingerprint, self.slide.slide_id)


@dataclass(frozen=True)
class Shape:
    """What the rows of one partition look like."""

    slide_id: str
    dim: int
    dtype: Literal["float16", "float32"]
    text_columns: tuple[str, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Bytes of one vector."""
        return self.dim * np.dtype(self.dtype).itemsize

    @property
    def block_rows(self) -> int:
        """Rows of a row group or chunk: a power of two, about `BLOCK_BYTES` of vectors."""
        return int(min(8192, max(64, 1 << (BLOCK_BYTES // self.row_bytes).bit_length() - 1)))


@dataclass(frozen=True)
class Totals:
    """What was written, known only after the last row."""

    tile_count: int
    vectors_sha256: str
    columns_sha256: str
    texts_sha256: str = ""


Conclude = Callable[[Totals], Receipt]
"""Makes the receipt of what was written."""


class PartitionFormat(Protocol):
    """One form of a partition; `parquet` and `zarr` behave alike behind it."""

    form: Form

    def write(
        self, target: Path, shape: Shape, rows: Iterable[TileRows], conclude: Conclude
    ) -> Receipt:
        """Write a whole partition at a local path that nobody reads yet."""
        ...

    def read_receipt(self, location: Location) -> Receipt:
        """The receipt, without reading rows."""
        ...

    def read_receipt_text(self, location: Location) -> bytes:
        """The receipt's JSON, without reading rows; raises StoreError where there is none."""
        ...

    def read_bag(self, location: Location) -> tuple[npt.NDArray[np.int32], Floats]:
        """All coords (N, 2) and embeddings (N, D)."""
        ...

    def read_rows(self, location: Location) -> Iterator[TileRows]:
        """All rows in blocks of bounded size."""
        ...

    def read_columns(self, location: Location) -> TileRows:
        """All rows without their vectors: embeddings are (N, 0)."""
        ...

    def read_texts(self, location: Location) -> dict[str, npt.NDArray[np.str_]]:
        """(N,) of each optional column that it has."""
        ...

    def find_problems(self, location: Location) -> list[str]:
        """What is wrong with the bytes, columns and types; rows are worth reading if nothing."""
        ...


class Tally:
    """Counts and digests rows as they pass by; columns are kept (20 bytes a tile), vectors not."""

    def __init__(self) -> None:
        self._vectors = hashlib.sha256()
        self._columns: list[tuple[npt.NDArray[np.generic], ...]] = []
        self.texts: dict[str, list[str]] = {}
        self.count = 0

    def add(self, rows: TileRows) -> None:
        """Take the next rows."""
        vectors = rows.embeddings
        little = vectors.astype(vectors.dtype.newbyteorder("<"), copy=False)
        self._vectors.update(np.ascontiguousarray(little).data)
        self._columns.append((rows.coords[:, 0], rows.coords[:, 1], rows.tissue, rows.focus))
        for name, values in rows.texts.items():
            self.texts.setdefault(name, []).extend(values.tolist())
        self.count += len(rows)

    def column(self, index: int) -> npt.NDArray[np.generic]:
        """All of x, y, tissue or focus (0 to 3) so far."""
        parts = [columns[index] for columns in self._columns]
        kind = "<i4" if index < 2 else "<f4"
        return np.concatenate([np.empty(0, kind), *parts]).astype(kind, copy=False)

    def totals(self) -> Totals:
        """What has passed by."""
        digest = hashlib.sha256(np.arange(self.count, dtype="<i4").tobytes())
        for index in range(4):
            digest.update(self.column(index).tobytes())
        texts = config_digest(self.texts) if self.texts else ""
        return Totals(self.count, self._vectors.hexdigest(), digest.hexdigest(), texts)


def regroup_rows(rows: Iterable[TileRows], shape: Shape, size: int) -> Iterator[TileRows]:
    """Cut any stream of rows into blocks of `size` rows; the last may be shorter.

    Raises:
        ValueError: Vectors of another length or type, or other columns, than `shape` says.
    """
    waiting: list[TileRows] = []
    count = 0
    for block in rows:
        found = (block.embeddings.shape[1:], block.embeddings.dtype.name)
        if found != ((shape.dim,), shape.dtype):
            raise ValueError(f"rows are {found} instead of vectors of {shape.dim} {shape.dtype}")
        if set(block.texts) != set(shape.text_columns):
            raise ValueError(
                f"rows have columns {sorted(block.texts)} instead of {shape.text_columns}"
            )
        start = 0
        while start < len(block):
            stop = min(len(block), start + size - count)
            waiting.append(slice_rows(block, start, stop))
            count += stop - start
            start = stop
            if count == size:
                yield join_rows(waiting)
                waiting, count = [], 0
    if count:
        yield join_rows(waiting)


def slice_rows(rows: TileRows, start: int, stop: int) -> TileRows:
    """Rows from `start` up to `stop`."""
    return take_rows(rows, slice(start, stop))


def take_rows(rows: TileRows, cut: slice | npt.NDArray[np.int64]) -> TileRows:
    """Some rows: a span, or those at given places."""
    texts = {name: values[cut] for name, values in rows.texts.items()}
    return TileRows(
        rows.coords[cut], rows.tissue[cut], rows.focus[cut], rows.embeddings[cut], texts
    )


def join_rows(blocks: list[TileRows]) -> TileRows:
    """All rows of at least one block."""
    if len(blocks) == 1:
        return blocks[0]
    return TileRows(
        np.concatenate([block.coords for block in blocks]),
        np.concatenate([block.tissue for block in blocks]),
        np.concatenate([block.focus for block in blocks]),
        np.concatenate([block.embeddings for block in blocks]),
        {n: np.concatenate([block.texts[n] for block in blocks]) for n in blocks[0].texts},
    )


def write_receipt(facts: PartitionFacts, totals: Totals) -> Receipt:
    """The receipt of a partition that has just been written.

    Raises:
        ValueError: No rows and no reason why, or rows and a reason why there are none.
    """
    if bool(facts.empty_reason) == bool(totals.tile_count):
        raise ValueError(
            f"{facts.key}: {totals.tile_count} tiles and empty_reason {facts.empty_reason!r}"
        )
    return Receipt(
        format_version=version_of(facts),
        slide=facts.slide,
        tiling=facts.tiling,
        encoder=facts.encoder,
        tile_count=totals.tile_count,
        empty_reason=facts.empty_reason,
        vectors_sha256=totals.vectors_sha256,
        columns_sha256=totals.columns_sha256,
        text_columns=facts.text_columns,
        texts_sha256=totals.texts_sha256,
        imported=facts.imported,
        library_version=__version__,
        run_id=facts.run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def version_of(facts: PartitionFacts) -> int:
    """The lowest version of the format whose programs can read the receipt of a partition."""
    if facts.encoder.list_newest() or facts.tiling.segmenter is not None:
        return 4
    if facts.imported is not None:
        return 3
    newer = facts.slide.list_newer() | facts.encoder.list_newer()
    return 2 if newer else FIRST_VERSION


def unreadable(path: str, error: Exception) -> StoreError:
    """The error of a partition that cannot be read."""
    if isinstance(error, UnreachableError):
        return error
    if is_remote(error):
        trouble = explain(error)
        return UnreachableError(f"{path}: {trouble.found}; {trouble.remedy}")
    return StoreError(
        f"{path}: not readable ({first_line(error)}), so it is damaged; delete that partition, and "
        "the same extract command makes it again (store verify finds others)"
    )


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
