"""A table of pooled vectors in the store's cache, with a receipt of its own inside."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from histo_ray._version import __version__
from histo_ray.config import digest
from histo_ray.storage.native import native
from histo_ray.storage.seal import MARKS, check_bytes, seal_bytes
from histo_ray.store.atomic_write import write_bytes
from histo_ray.store.half_floats import Float32s
from histo_ray.store.layout import POOLED
from histo_ray.store.location import Location
from histo_ray.store.partition import RECEIPT_KEY
from histo_ray.types import JsonObject, PartitionKey, Receipt

CACHE_VERSION = 2
"""Raised whenever the same vectors are pooled to other numbers."""

By = Literal["slide", "patient"]


class PoolFacts(BaseModel):
    """Everything that decides the numbers of a pooled table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = CACHE_VERSION
    encoder: str
    weights_sha256: str
    dim: int
    """Length of a tile's vector."""
    tiling: str
    pool: str
    by: By
    partitions: int
    """With tiles or without."""
    tiles: int
    snapshot_sha256: str
    """Digest of the partitions; see `digest_snapshot`."""
    groups_sha256: str
    """Which slides were pooled together."""
    class_encoder: str = ""
    """Encoder whose head weighed the tiles; empty where none did."""
    class_tiling: str = ""
    class_file_sha256: str = ""
    """Digest of the file with the head's weights."""
    class_snapshot_sha256: str = ""
    """Digest of the partitions that the head read."""
    where: str = ""
    """Condition on the tiles that were pooled; empty: all."""

    @model_serializer(mode="wrap")
    def _leave_out_where(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        """Without what says nothing, so that tables have the names that they had."""
        values: JsonObject = serialise(self)
        if not self.where:
            del values["where"]
        return values

    def path(self) -> str:
        """Where the table is, relative to the store."""
        return f"{POOLED}/{digest(self.model_dump())}.parquet"


class PoolReceipt(BaseModel):
    """What a pooled table says of itself; stored inside it under the key `histo_ray`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: PoolFacts
    left_out: tuple[str, ...] = ()
    """Slides or patients that have tiles, but none with any weight."""
    absent_classes: dict[str, tuple[str, ...]] = {}
    """By class: slides or patients without a tile of it, whose mean of all tiles stands there."""
    library_version: str = __version__
    created_at: str = ""
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class PooledTable:
    """Vectors of slides or patients."""

    names: list[str]
    values: Float32s
    """(rows, width)."""
    receipt: PoolReceipt


def digest_snapshot(receipts: Iterable[tuple[PartitionKey, Receipt]]) -> str:
    """SHA-256 over what is in some partitions: keys, tile counts, vectors and columns."""
    said = [[*key, r.tile_count, r.vectors_sha256, r.columns_sha256] for key, r in sorted(receipts)]
    return digest(said)


def write_pooled(
    root: Location, table: PooledTable, groups: dict[str, list[tuple[PartitionKey, Receipt]]]
) -> None:
    """Put a table into the cache: a row a slide or patient, with what went into it."""
    width = table.values.shape[1]
    flat = pa.array(np.ascontiguousarray(table.values).reshape(-1))
    rows = [groups[name] for name in table.names]
    columns = {
        "name": pa.array(table.names, pa.string()),
        "tiles": pa.array([sum(r.tile_count for _, r in row) for row in rows], pa.int64()),
        "slides": pa.array([[k.slide_id for k, _ in row] for row in rows], pa.list_(pa.string())),
        "vectors_sha256": pa.array(
            [[r.vectors_sha256 for _, r in row] for row in rows], pa.list_(pa.string())
        ),
        "vector": pa.FixedSizeListArray.from_arrays(flat, width),
    }
    now = datetime.now(UTC).isoformat(timespec="seconds")
    receipt = table.receipt.model_copy(update={"created_at": now})
    content = pa.table(columns).replace_schema_metadata({RECEIPT_KEY: receipt.model_dump_json()})
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink, content.schema, compression="zstd", write_page_checksum=True, use_dictionary=False
    ) as writer:
        writer.write_table(content)
        writer.add_key_value_metadata(MARKS)
    write_bytes(root, table.receipt.facts.path(), seal_bytes(sink.getvalue()))


def read_pooled(root: Location, facts: PoolFacts, names: Iterable[str]) -> PooledTable | None:
    """The cached table of `facts` and groups `names`; None if it must be made again.

    That is if there is none, or it cannot be read, or its receipt says something else.
    """
    location = root.child(facts.path())
    if not location.kind():
        return None
    try:
        data = location.read_bytes()
        if check_bytes(data) == "damaged":
            return None
        content = pq.read_table(native(data), page_checksum_verification=True)
        receipt = PoolReceipt.model_validate_json(content.schema.metadata[RECEIPT_KEY.encode()])
        there = content["name"].to_pylist()
        flat = content["vector"].combine_chunks().flatten().to_numpy()
    except (OSError, KeyError, TypeError, ValidationError, pa.ArrowException):
        return None
    left_out = set(receipt.left_out)
    if receipt.facts != facts or there != [name for name in names if name not in left_out]:
        return None
    width = content.schema.field("vector").type.list_size
    return PooledTable(there, flat.reshape(len(there), width), receipt)
