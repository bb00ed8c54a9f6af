"""A small Hamamatsu NDPI, put together byte by byte: JPEGs with restart markers, 64-bit offsets."""

import struct
from collections.abc import Sequence
from pathlib import Path

from testing.jpeg_slides import Kind, cut_tiles, encode_tile, segments, texture
from testing.maker_slides import YCBCR, Draw, Pixels, Size


def write_ndpi(
    path: Path,
    sizes: Sequence[Size] = ((1536, 608), (384, 152)),
    *,
    kind: Kind = YCBCR,
    interval_px: int = 768,
    index: bool = True,
    per_cm: int = 40_000,
    draw: Draw = texture,
) -> Path:
    """A Hamamatsu NDPI: for each level one JPEG with restart markers, and a macro image.

    Args:
        path: Where to write.
        sizes: (width, height) in px of each level; more than 65,500 px are possible.
        kind: How colours are encoded.
        interval_px: Width in px of a restart interval; levels that it does not divide have none.
        index: Whether the file says where the intervals begin.
        per_cm: Px of level 0 in a centimetre.
        draw: What each level shows.
    """
    data = bytearray(b"II*\0" + bytes(8))
    link = 4
    for level, (width, height) in enumerate(sizes):
        image = draw(width, height, 0)
        strip = (interval_px, 8 * kind.subsampling[1])
        if width % strip[0]:
            strip = width, height
        jpeg, starts = _join_strips(image, kind, strip)
        lens = struct.unpack("<I", struct.pack("<f", 40.0 * width / sizes[0][0]))[0]
        entries = [(256, 4, [width]), (257, 4, [height]), (258, 3, [8, 8, 8]), (259, 3, [7]),
                   (262, 3, [6]), (273, 4, [len(data)]), (277, 3, [3]), (278, 4, [height]),
                   (279, 4, [len(jpeg)]), (282, 5, [per_cm, 1]), (283, 5, [per_cm, 1]),
                   (296, 3, [3]), (65420, 4, [1]), (65421, 11, [lens]), (65422, 9, [0]),
                   (65423, 9, [0]), (65424, 9, [0])]  # fmt: skip
        if index and len(starts) > 1:
            entries += [(65426, 4, starts), (65432, 4, [0] * len(starts))]
        data += jpeg
        link = _add_directory(data, link, entries, last=level == len(sizes) - 1)
    path.write_bytes(data)
    return path


def _join_strips(image: Pixels, kind: Kind, strip: Size) -> tuple[bytes, list[int]]:
    """One JPEG of an image, each strip of it an interval, and where each begins."""
    head, scans = b"", []
    for piece in cut_tiles(image, strip):
        *pieces, (_, scan) = segments(encode_tile(piece, kind))
        if not head:
            size = image.shape[:2] if max(image.shape[:2]) < 65_500 else (0, 0)
            restart = strip[0] // (8 * kind.subsampling[0])
            head = b"\xff\xd8" + b"".join(
                part[:5] + struct.pack(">HH", *size) + part[9:] if marker == 0xC0 else part
                for marker, part in pieces
            )
            if strip[0] < image.shape[1] or strip[1] < image.shape[0]:
                head += struct.pack(">HHH", 0xFFDD, 4, restart)
            head += scan[: 2 + int.from_bytes(scan[2:4], "big")]
        scans.append(scan[2 + int.from_bytes(scan[2:4], "big") : -2])
    whole, starts = bytearray(head), []
    for at, scan in enumerate(scans):
        starts.append(len(whole))
        whole += scan + bytes((0xFF, 0xD0 + at % 8))
    whole[-1] = 0xD9
    return bytes(whole), starts


def _add_directory(
    data: bytearray, link: int, entries: Sequence[tuple[int, int, list[int]]], *, last: bool
) -> int:
    """Append a directory as NDPI has it: 4 more bytes of each value follow it all."""
    codes = {3: "H", 4: "I", 5: "I", 9: "i", 11: "I"}
    values = []
    for code, kind, numbers in entries:
        packed = struct.pack(f"<{len(numbers)}{codes[kind]}", *numbers)
        count = len(numbers) // (2 if kind == 5 else 1)
        if len(packed) > 4:
            at = len(data)
            data += packed + bytes(-len(packed) % 4)
            packed = struct.pack("<I", at)
        values.append(struct.pack("<HHI", code, kind, count) + packed.ljust(4, b"\0"))
    data[link : link + 8] = struct.pack("<Q", len(data))
    data += struct.pack("<H", len(entries)) + b"".join(values)
    link = len(data)
    data += bytes(8) + bytes(4 * len(entries))
    return link
