"""A file that carries the digest of itself. Pure: bytes in, bytes out.

The digest is SHA-256 over the whole file with the 64 characters of the digest read as zeros, so
any change of any byte shows, in values, receipt, statistics or footer alike.
"""

import hashlib
import re

SEAL_KEY = "histo_ray_digest"
BLANK = "0" * 64

_SEAL = re.compile(rb'histo_ray_digest(?:\x18@|"\s*:\s*")([0-9a-f]{64})')
"""The key and its value, as Parquet's footer (Thrift: type, length) and as JSON write them."""


def find_seal(tail: bytes) -> tuple[int, str] | None:
    """Where in `tail` the digest's characters begin, and what they say; None without a seal."""
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
