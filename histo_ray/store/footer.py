"""Finds the receipt in a Parquet footer without parsing the rest of it. Pure: bytes in, bytes out.

A footer is a Thrift structure (compact protocol) that tells of every column of every row group;
parsing all of that for one entry of its metadata took ten times as long as reading the file's end.
Format: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import re

from histo_ray.store.partition import RECEIPT_KEY

GUESS_BYTES = 32 << 10
"""Bytes read at once from a file's end: footers of partitions are smaller."""
MAGIC = b"PAR1"
_END_BYTES = 8
"""The footer's length and the magic."""
_TEXT_FIELD = b"\x18"
"""The next field of a structure, a string."""
_STOP = 0

_KEY = RECEIPT_KEY.encode()
_ENTRY = re.compile(re.escape(_TEXT_FIELD + bytes([len(_KEY)]) + _KEY + _TEXT_FIELD))


def footer_bytes(tail: bytes) -> int:
    """Bytes from the footer's start to the file's end, by its last bytes; 0 if it is no Parquet."""
    if len(tail) < _END_BYTES or tail[-len(MAGIC) :] != MAGIC:
        return 0
    return int.from_bytes(tail[-_END_BYTES : -len(MAGIC)], "little") + _END_BYTES


def find_receipt_text(tail: bytes) -> bytes | None:
    """The receipt's JSON in the last bytes of a file.

    Args:
        tail: At least the whole footer.

    Returns:
        None where it is not there beyond doubt; then a Parquet reader must tell.
    """
    size = footer_bytes(tail)
    if not size or size > len(tail):
        return None
    footer = tail[len(tail) - size : -_END_BYTES]
    entries = list(_ENTRY.finditer(footer))
    if len(entries) != 1:
        return None
    length, start = _read_length(footer, entries[0].end())
    text = footer[start : start + length]
    whole = footer[start + length : start + length + 1] == bytes([_STOP])
    return text if whole and text[:1] == b"{" and text[-1:] == b"}" else None


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """A Thrift varint and the place after it."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
        shift += 7
    return value, at
