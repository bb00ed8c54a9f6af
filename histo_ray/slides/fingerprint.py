"""Fingerprint of a slide file, from its size and both ends."""

import hashlib
from pathlib import PurePosixPath

from histo_ray.storage import locate
from histo_ray.storage.files import open_file

END_BYTES = 64 * 1024
"""How much of each end of the file is hashed."""


def fingerprint_file(path: str) -> str:
    """SHA-256, in hex, over a file's size (8 bytes, little-endian) and its first and last 64 KiB.

    For MRXS, whose .mrxs file is only a picture, the Slidedat.ini of its folder follows.

    Args:
        path: Local path or URI.

    Raises:
        OSError: The file cannot be read.
    """
    system, place = locate(path)
    digest = hashlib.sha256()
    with open_file(system, place) as file:
        size = file.size()
        digest.update(size.to_bytes(8, "little"))
        digest.update(file.read(END_BYTES))
        file.seek(max(0, size - END_BYTES))
        digest.update(file.read(END_BYTES))
    if place.lower().endswith(".mrxs"):
        index = str(PurePosixPath(place).with_suffix("") / "Slidedat.ini")
        if system.get_file_info(index).is_file:
            with open_file(system, index) as file:
                digest.update(file.read())
    return digest.hexdigest()
