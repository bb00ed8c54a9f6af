"""Hostile files, made small: decompression bombs, false headers and loops."""

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from testing.jpeg_slides import Kind, write_jpeg_slide

SMALL = Kind(size=(301, 203), tile=(96, 96), factors=(1,), shared_tables=True)
_FORMATS = {3: "H", 4: "I"}

Tag = tuple[int, int, Sequence[int]]
"""Code, type (3: 16 bits, 4: 32 bits) and values."""


def write_png(path: Path, width: int, height: int) -> None:
    """A black RGB PNG of any size, which takes next to nothing; packed row by row, all alike."""
    packer = zlib.compressobj(9, wbits=-15)
    row = bytes(1 + 3 * width)
    packed = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15).flush()
    checksum = len(row) * height % 65521 << 16 | 1  # Adler-32 of so many zeros
    data = b"\x78\xda" + packed * height + last + struct.pack(">I", checksum)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    text = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        text += struct.pack(">I", len(content)) + kind + content
        text += struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(text)


def write_tiff(path: Path, tags: Sequence[Tag], strip: bytes) -> None:
    """A little-endian TIFF of one directory and one strip, whatever its tags claim."""
    strip += bytes(len(strip) % 2)
    entries = sorted([*tags, (273, 4, [8]), (279, 4, [len(strip)])])
    directory = 8 + len(strip)
    extra_at, extra = directory + 2 + 12 * len(entries) + 4, b""
    text = struct.pack("<H", len(entries))
    for code, kind, values in entries:
        raw = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        if len(raw) > 4:
            extra += raw + bytes(len(raw) % 2)
            raw = struct.pack("<I", extra_at + len(extra) - len(raw) - len(raw) % 2)
        text += struct.pack("<HHI", code, kind, len(values)) + raw.ljust(4, b"\0")
    head = struct.pack("<2sHI", b"II", 42, directory)
    path.write_bytes(head + strip + text + bytes(4) + extra)


def plain_tags(width: int, height: int, compression: int, channels: int = 3) -> list[Tag]:
    """Tags of an 8-bit image in one strip."""
    return [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [8] * min(channels, 4)),
        (259, 3, [compression]), (262, 3, [2 if channels == 3 else 1]), (277, 3, [channels]),
        (278, 4, [height]), (284, 3, [1]),
    ]  # fmt: skip


def write_lying_jpeg(path: Path) -> None:
    """A strip of 64 x 64 px whose own header says 65,500 x 65,500: 12 GB once decoded."""
    jpeg = bytes(imagecodecs.jpeg8_encode(np.zeros((64, 64, 3), np.uint8)))
    at = jpeg.index(b"\xff\xc0") + 5
    lying = jpeg[:at] + struct.pack(">HH", 65500, 65500) + jpeg[at + 4 :]
    write_tiff(path, plain_tags(64, 64, 7), lying)


def write_many_channels(path: Path) -> None:
    """16,000 x 16,000 px of 60,000 channels: 14 TiB once decoded."""
    write_tiff(path, plain_tags(16000, 16000, 8, 60000), zlib.compress(bytes(1000)))


def write_large_tiles(path: Path) -> None:
    """A slide that says its tiles are 2,147,483,647 px wide: OpenSlide ends the process."""
    write_jpeg_slide(path, SMALL)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["TileWidth"].overwrite(2**31 - 1, dtype=4)


def write_long_tiles(path: Path) -> None:
    """A slide whose tiles take terabytes in its file of 40 kB: OpenSlide ends the process."""
    write_jpeg_slide(path, SMALL)
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages.first.tags["TileByteCounts"].offset
    hurt = bytearray(path.read_bytes())
    hurt[entry + 2] = 16  # numbers of 8 bytes, where they are of 4
    path.write_bytes(hurt)


def write_cut(path: Path) -> None:
    """A slide of which a third has arrived."""
    write_jpeg_slide(path, SMALL)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])


def write_damaged_tile(path: Path) -> None:
    """A slide with a tile whose own header states another size."""
    write_jpeg_slide(path, SMALL)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[3]
    hurt = bytearray(path.read_bytes())
    at = hurt.index(b"\xff\xc0\x00\x11\x08", start) + 5
    hurt[at : at + 4] = struct.pack(">HH", 65500, 65500)
    path.write_bytes(hurt)


def write_zigzag(path: Path, corners: int = 60_000) -> None:
    """An outline that crosses the slide from edge to edge at every corner."""
    ring = [[number * 300 / corners, (number % 2) * 203] for number in range(corners)]
    outline = {"type": "MultiPolygon", "coordinates": [[ring]] * 60}
    path.write_text(json.dumps(outline), encoding="utf-8")


class Payload:
    """Makes a pickle that runs code where it is opened in full: it would make a file `ran`."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)
