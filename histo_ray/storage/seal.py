"""A file that carries the digest of itself. Pure but for `seal_file`: bytes in, bytes out.

The digest is SHA-256 over the whole file with the 64 characters of the digest read as zeros, so
any change of any byte shows, in values, receipt, statistics or footer alike. A second entry says
that there is a digest, so that damage to the digest's own key is not taken for a file without one.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

SEAL_KEY = "histo_ray_digest"
MARK_KEY = "histo_ray_sealed"
BLANK = "0" * 64
MARKS = {MARK_KEY: "sha256", SEAL_KEY: BLANK}
"""Entries of a file's metadata before it is sealed."""

State = Literal["sealed", "unsealed", "damaged"]
"""Whether the digest fits, there is none (as in files of version 0.1.0), or it does not fit."""

TAIL_BYTES = 64 << 10
_SEAL = re.compile(rb'histo_ray_digest(?:\x18@|"\s*:\s*")([0-9a-f]{64})')
"""The key and its value, as Parquet's footer (Thrift: type, length) and as JSON write them."""


def find_seal(tail: bytes) -> tuple[int, str] | None:
    """Where in `tail` the digest begins, and the digest; None without a seal."""
    matches = list(_SEAL.finditer(tail))
    return (matches[-1].start(1), matches[-1].group(1).decode()) if matches else None


def digest_unsealed(data: bytes) -> str:
    """Digest of a whole sealed file, given in one piece; as if it were not sealed yet."""
    found = find_seal(data)
    if found is None:
        return hashlib.sha256(data).hexdigest()
    at = found[0]
    digest = hashlib.sha256(data[:at])
    digest.update(BLANK.encode())
    digest.update(data[at + len(BLANK) :])
    return digest.hexdigest()


def seal_bytes(data: bytes) -> bytes:
    """Put the digest of a file where its blank is; for a file that is held as a whole."""
    found = find_seal(data)
    if found is None or found[1] != BLANK:
        raise RuntimeError("the file to be sealed holds no blank digest")
    at = found[0]
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + len(BLANK) :]


def seal_file(path: Path) -> None:
    """Put the digest of a local Parquet file, as it is with a blank, where the blank is."""
    with path.open("r+b") as file:
        start, tail = _read_tail(file)
        found = find_seal(tail)
        if found is None or found[1] != BLANK:
            raise RuntimeError(f"{path}: the file to be sealed holds no blank digest")
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(start + found[0])
        file.write(digest.encode())


def seal_json(values: Mapping[str, Any], indent: int = 1) -> bytes:
    """JSON of `values` with the digest of its own bytes as the last entry."""
    text = json.dumps({**values, **MARKS}, indent=indent, allow_nan=False)
    return seal_bytes(text.encode() + b"\n")


def strip_marks(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given to `seal_json`."""
    return {key: value for key, value in values.items() if key not in MARKS}


def check_bytes(data: bytes) -> State:
    """Whether a file that is held as a whole is the one that was sealed."""
    return check_stream(io.BytesIO(data))


def check_stream(file: BinaryIO) -> State:
    """Whether a file with random access is the one that was sealed; memory holds its end."""
    start, tail = _read_tail(file)
    found = find_seal(tail)
    if found is None:
        marked = SEAL_KEY.encode() in tail or MARK_KEY.encode() in tail
        return "damaged" if marked else "unsealed"
    at, said = found
    digest, left = hashlib.sha256(), start
    file.seek(0)
    while left:
        block = file.read(min(left, 8 << 20))
        if not block:
            return "damaged"
        digest.update(block)
        left -= len(block)
    digest.update(tail[:at] + BLANK.encode() + tail[at + len(BLANK) :])
    return "sealed" if digest.hexdigest() == said else "damaged"


def _read_tail(file: BinaryIO) -> tuple[int, bytes]:
    """The end of a file with its Parquet footer, if it has one, and where that end begins.

    At least `TAIL_BYTES`: where the footer's length is damaged, the digest is found all the same.
    """
    size = file.seek(0, io.SEEK_END)
    footer = 0
    if size >= 12:
        file.seek(size - 8)
        footer = int.from_bytes(file.read(4), "little") + 8
    start = max(0, size - max(footer, TAIL_BYTES))
    file.seek(start)
    return start, bytes(file.read(size - start))
