"""Proof that the vectors of a Parquet row group lie in one piece at the end of their chunk. Pure.

A version-1 data page is: header, repetition levels, definition levels, values. With one
uncompressed PLAIN page in the chunk, its last rows * dim * itemsize bytes are the vectors, row by
row. They can then be read without decoding (measured: 5 times faster than pyarrow's decoder).
Format: https://parquet.apache.org/docs/file-format/data-pages/
"""

import struct
from dataclasses import dataclass
from typing import Any

LAYOUT_KEY = "histo_ray_layout"
LAYOUT = '{"vector_layout":"single-page"}'

_INT32_FIELD = 0x15  # Thrift compact protocol: the next field, an int32
_DATA_PAGE = 0
_HEADER_BYTES = range(8, 100)
"""Sizes a page header can have; too small for a second page to hide in."""


@dataclass(frozen=True)
class Chunk:
    """Vectors of one row group in the file."""

    start: int
    """First row."""
    rows: int
    offset: int
    """First byte of the chunk in the file."""
    head_bytes: int
    """Bytes of the chunk before the values."""
    value_bytes: int


def locate_chunks(meta: Any, dim: int, itemsize: int) -> list[Chunk] | None:
    """Where the vectors of each row group lie, as far as the footer can tell.

    Args:
        meta: pyarrow's `FileMetaData`.
        dim: Length of a vector.
        itemsize: Bytes of one element.

    Returns:
        One chunk a row group, or None where the footer rules the layout out.
    """
    if (meta.metadata or {}).get(LAYOUT_KEY.encode()) != LAYOUT.encode():
        return None
    chunks, start = [], 0
    for group in range(meta.num_row_groups):
        row_group = meta.row_group(group)
        column = row_group.column(row_group.num_columns - 1)
        rows = row_group.num_rows
        head = column.total_compressed_size - rows * dim * itemsize
        plain = (
            column.path_in_schema.partition(".")[0] == "embedding"
            and column.compression == "UNCOMPRESSED"
            and set(column.encodings) <= {"PLAIN", "RLE"}
            and not column.has_dictionary_page
            and column.num_values == rows * dim
        )
        if not plain or head <= 0:
            return None
        chunks.append(Chunk(start, rows, column.data_page_offset, head, rows * dim * itemsize))
        start += rows
    return chunks


def is_single_page(head: bytes, value_bytes: int) -> bool:
    """Whether a chunk that begins with `head` is one data page whose values follow `head`.

    Args:
        head: The chunk's bytes before its last `value_bytes`.
        value_bytes: Size of the values in bytes.
    """
    try:
        fields, at = [], 0
        for _ in range(3):  # page type, uncompressed size, compressed size
            if head[at] != _INT32_FIELD:
                return False
            value, at = _read_zigzag(head, at + 1)
            fields.append(value)
        page_type, size, stored = fields
        header = len(head) + value_bytes - stored
        if page_type != _DATA_PAGE or size != stored or header not in _HEADER_BYTES:
            return False
        (repetition,) = struct.unpack_from("<I", head, header)
        (definition,) = struct.unpack_from("<I", head, header + 4 + repetition)
    except (IndexError, struct.error):
        return False
    return bool(header + 4 + repetition + 4 + definition == len(head))


def _read_zigzag(data: bytes, at: int) -> tuple[int, int]:
    """One Thrift varint and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
