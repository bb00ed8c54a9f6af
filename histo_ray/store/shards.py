"""Reads sharded Zarr v3 arrays straight from their files where the order of blocks is proven.

Half of zarr's own time on a bag is spent on tasks and copies; plain blocks need neither. Format:
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.store.location import ROOT_FILE, Location, Span, byte_view, read_spans
from histo_ray.store.partition import unreadable

_INDEX_ENTRY = np.dtype([("offset", "<u8"), ("size", "<u8")])
_INDEX_CHECKSUM_BYTES = 4
_TYPES = ("float16", "float32", "int32")
"""Types of numbers that a partition holds; nothing else in a file is made an array of."""
_BYTES_CODEC = {"name": "bytes", "configuration": {"endian": "little"}}


@dataclass(frozen=True)
class ShardedArray:
    """What an array's own metadata say."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    shard_rows: int
    chunk_rows: int
    straight: bool
    """Whether its shards hold plain little-endian blocks over whole rows."""

    @property
    def rows(self) -> int:
        """Length along the first axis."""
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


def read_json(location: Location) -> Any:
    """A JSON file.

    Raises:
        StoreError: It is not there or not JSON.
    """
    try:
        return json.loads(location.read_bytes())
    except (OSError, ValueError) as error:
        raise unreadable(location.path, error) from None


def describe_array(location: Location, name: str) -> ShardedArray:
    """What the metadata of array `name` in the group at `location` say.

    Raises:
        StoreError: They cannot be read.
    """
    meta = read_json(location.child(f"{name}/{ROOT_FILE}"))
    try:
        shard = meta["chunk_grid"]["configuration"]["chunk_shape"]
        codecs = meta["codecs"]
        inner = codecs[0].get("configuration", {})
        chunk = inner.get("chunk_shape", shard)
        straight = (
            [codec["name"] for codec in codecs] == ["sharding_indexed"]
            and inner["codecs"] == [_BYTES_CODEC]
            and [codec["name"] for codec in inner["index_codecs"]] == ["bytes", "crc32c"]
            and inner["index_location"] == "end"
            and meta["chunk_key_encoding"]["name"] == "default"
            and meta["chunk_key_encoding"].get("configuration", {}).get("separator", "/") == "/"
            and shard[1:] == chunk[1:] == meta["shape"][1:]
        )
        shape = tuple(int(length) for length in meta["shape"])
        kind = meta["data_type"]
        sizes = [*shape, int(shard[0]), int(chunk[0])]
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise unreadable(f"{location.path}/{name}", error) from None
    if kind not in _TYPES or not 1 <= len(shape) <= 2 or min(sizes[-2:]) < 1 or min(sizes) < 0:
        raise unreadable(f"{location.path}/{name}", ValueError(f"{kind} of shape {shape}"))
    return ShardedArray(shape, np.dtype(kind), sizes[-2], sizes[-1], straight)


def read_shards(location: Location, array: ShardedArray, rows: slice) -> Any:
    """Rows straight from the shards; None if a shard's blocks are not in order."""
    try:
        values = np.empty((rows.stop - rows.start, *array.shape[1:]), array.dtype)
    except (MemoryError, ValueError) as error:  # a shape that is made up
        raise unreadable(location.path, error) from None
    room = byte_view(values)
    starts = range(rows.start, rows.stop, array.shard_rows)
    tail = "/0" * (len(array.shape) - 1)
    index_bytes = array.shard_rows // array.chunk_rows * _INDEX_ENTRY.itemsize
    for start in starts:
        shard = location.child(f"c/{start // array.shard_rows}{tail}")
        count = min(array.shard_rows, rows.stop - start)
        body = room[: count * array.row_bytes]
        room = room[len(body) :]
        index = np.zeros(index_bytes, np.uint8)
        size = _shard_size(array, count, index_bytes)
        try:
            spans = [Span(0, bytearray(), body)]
            spans.append(Span(size - index_bytes - _INDEX_CHECKSUM_BYTES, bytearray(), index.data))
            read_spans(shard, spans)
        except OSError as error:
            raise unreadable(shard.path, error) from None
        if not _in_order(index.view(_INDEX_ENTRY), array, count):
            return None
    return values


def _shard_size(array: ShardedArray, count: int, index_bytes: int) -> int:
    """Bytes of a shard that holds `count` rows in whole blocks, then its index."""
    blocks = -(-count // array.chunk_rows)
    stored = blocks * array.chunk_rows * array.row_bytes
    return stored + index_bytes + _INDEX_CHECKSUM_BYTES


def _in_order(index: npt.NDArray[Any], array: ShardedArray, count: int) -> bool:
    """Whether the blocks of `count` rows lie one after the other from the shard's start."""
    block = array.chunk_rows * array.row_bytes
    used = index[: -(-count // array.chunk_rows)]
    offsets = np.arange(len(used), dtype=np.uint64) * np.uint64(block)
    return bool((used["offset"] == offsets).all() and (used["size"] == block).all())
