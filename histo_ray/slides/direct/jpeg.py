"""Turns a TIFF's JPEG tile into one that stands alone, and decodes it. Pure.

A tile of a TIFF may lack its tables, which the page holds for all tiles, and does not say whether
it is RGB: that is the TIFF's photometric tag. Both are written into the tile, so that any JPEG
decoder gives the colours that OpenSlide's gives.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg

from histo_ray.types import Size

Pixels = npt.NDArray[np.uint8]

_SOI, _EOI, _SOS, _DQT, _DHT = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4
_APP0, _APP14 = 0xE0, 0xEE
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_START = bytes((0xFF, _SOI))
_ADOBE = bytes((0xFF, _APP14, 0, 14)) + b"Adobe" + bytes((0, 100, 0, 0, 0, 0))


class UnusualJpegError(Exception):
    """A JPEG that is damaged or not of the usual kind; OpenSlide has to decode it."""


def join_tables(tables: bytes) -> bytes:
    """The quantisation and Huffman tables of a page's JPEGTables tag.

    Args:
        tables: The tag's value; empty if there is none.

    Returns:
        Their segments, without the marks of a JPEG's start and end.

    Raises:
        UnusualJpegError: Damaged, or more than tables.
    """
    kept = []
    if tables:
        for marker, segment in read_segments(tables):
            if marker in (_DQT, _DHT):
                kept.append(segment)
            elif marker != _EOI and not _APP0 <= marker <= 0xEF:
                raise UnusualJpegError(f"JPEG tables with a segment {marker:#x}")
    return b"".join(kept)


class Header(NamedTuple):
    """The header of a tile, and what is to be put in its place. Most tiles of a page share one."""

    stated: bytes
    """All before the scan, as the file has it."""
    restated: bytes
    """The same with the tables and the colour information of the TIFF, so that it stands alone."""

    def restate(self, data: bytes) -> bytes | None:
        """A tile that has this header as a JPEG that stands alone; None if it has another."""
        if not data.startswith(self.stated):
            return None
        return self.restated + data[len(self.stated) :]


NO_HEADER = Header(b"no tile begins so", b"")


def read_header(data: bytes, tables: bytes, size: Size, *, rgb: bool) -> Header:
    """The header of a tile.

    Args:
        data: The tile as the file has it.
        tables: From `join_tables`.
        size: (width, height) of a tile by the TIFF's tags.
        rgb: Whether its channels are RGB; else YCbCr.

    Returns:
        A header that makes the tile a JPEG of exactly that size with tables and an Adobe marker.

    Raises:
        UnusualJpegError: Damaged, of another size, or not three channels of 8 bits.
    """
    pieces = [_START, _ADOBE, b"\0" if rgb else b"\1", tables]
    frames, length = 0, len(_START)
    for marker, segment in read_segments(data):
        length += len(segment)
        if marker in _HUFFMAN_FRAMES:
            frames += 1
            _check_frame(segment, size)
        elif marker in _OTHER_FRAMES:
            raise UnusualJpegError(f"a JPEG of kind {marker:#x}")
        if marker not in (_APP0, _APP14):  # these may state other colours
            pieces.append(segment)
    if frames != 1 or marker != _SOS:
        raise UnusualJpegError("a JPEG without an image")
    return Header(data[:length], b"".join(pieces))


def frame_size(data: bytes) -> Size:
    """(width, height) that a JPEG states of itself.

    Raises:
        UnusualJpegError: It states none.
    """
    for marker, segment in read_segments(data):
        if marker in (*_HUFFMAN_FRAMES, *_OTHER_FRAMES) and len(segment) > 8:
            return int.from_bytes(segment[7:9]), int.from_bytes(segment[5:7])
    raise UnusualJpegError("a JPEG without an image")


def decode_tile(data: bytes, size: Size, shrink: int = 1) -> Pixels:
    """Decode a restated tile as OpenSlide does: the slow, exact DCT, warnings are errors.

    Args:
        data: From `Header.restate`. The size in it is checked, so nothing large is allocated.
        size: (width, height) that come out.
        shrink: How often smaller they are than the JPEG: 1, 2, 4 or 8.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        UnusualJpegError: Damaged.
    """
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=size[1], min_width=size[0], min_factor=shrink, strict=True
        )
    except (ValueError, RuntimeError) as error:
        raise UnusualJpegError(str(error)) from error
    if pixels.shape != (size[1], size[0], 3):
        raise UnusualJpegError(f"pixels of shape {pixels.shape}")
    return pixels


def _check_frame(segment: bytes, size: Size) -> None:
    width, height = size
    expected = bytes((8, height >> 8, height & 255, width >> 8, width & 255, 3))
    if segment[4:10] != expected:
        raise UnusualJpegError(f"a frame that begins {segment[4:10].hex()}, not {expected.hex()}")


def read_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of each segment, up to the end or the scan, of which only the marker."""
    if data[:2] != _START:
        raise UnusualJpegError("no JPEG")
    at = 2
    while True:
        head = data[at : at + 4]
        if len(head) >= 2 and head[0] == 0xFF and head[1] == _EOI:
            yield _EOI, data[at : at + 2]
            return
        if (
            len(head) < 4
            or head[0] != 0xFF
            or not 0xC0 <= head[1] <= 0xFE
            or 0xD0 <= head[1] < _SOS
        ):
            raise UnusualJpegError(f"a JPEG with {head.hex()} where a segment begins")
        if head[1] == _SOS:
            yield _SOS, data[at : at + 2]
            return
        end = at + 2 + (head[2] << 8 | head[3])
        if end < at + 4 or end > len(data):
            raise UnusualJpegError("a JPEG cut within its header")
        yield head[1], data[at:end]
        at = end
