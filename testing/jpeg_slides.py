"""Small tiled JPEG slides of every kind that the direct reader takes, written here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

Pixels = npt.NDArray[np.uint8]
JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"


@dataclass(frozen=True)
class Kind:
    """How a slide is written."""

    rgb: bool = True
    adobe: bool = False
    """Whether RGB tiles say so themselves."""
    jfif: bool = False
    """Whether tiles claim, by a JFIF marker, to be YCbCr."""
    subsampling: tuple[int, int] = (1, 1)
    tile: tuple[int, int] = (240, 240)
    """(width, height)."""
    size: tuple[int, int] = (1013, 771)
    """(width, height)."""
    factors: tuple[int, ...] = (1, 4)
    """How often each level is smaller."""
    shared_tables: bool = False
    aperio: bool = True
    big: bool = False
    byteorder: Literal["<", ">"] = "<"
    missing: tuple[tuple[int, int], ...] = ()
    """(level, tile) of tiles left out."""


KINDS = {
    "aperio, RGB, no Adobe marker, shared tables": Kind(shared_tables=True),
    "aperio, RGB, sizes that divide": Kind(adobe=True, size=(1200, 960), factors=(1, 2, 4)),
    "aperio, YCbCr 4:2:0": Kind(rgb=False, subsampling=(2, 2), tile=(256, 256)),
    "generic, RGB, one column of tiles": Kind(aperio=False, size=(97, 700), factors=(1,)),
    "generic, RGB that claims to be JFIF": Kind(aperio=False, jfif=True, factors=(1, 2)),
    "generic, YCbCr 4:2:2, wide tiles, shared tables": Kind(
        rgb=False, subsampling=(2, 1), tile=(256, 128), aperio=False, shared_tables=True
    ),
    "generic, YCbCr 4:2:0, BigTIFF": Kind(
        rgb=False, subsampling=(2, 2), tile=(256, 256), aperio=False, big=True
    ),
    "generic, YCbCr 4:4:4": Kind(rgb=False, aperio=False),
    "generic, RGB, big-endian BigTIFF, shared tables": Kind(
        aperio=False, byteorder=">", big=True, shared_tables=True
    ),
}


def texture(width: int, height: int, seed: int = 0) -> Pixels:
    """(height, width, 3) with structure of all sizes, so that any shift is seen."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for step in (3, 17, 90):
        coarse = rng.random((height // step + 2, width // step + 2, 3), np.float32)
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image * 85, 0, 255).astype(np.uint8)


def write_jpeg_slide(path: Path, kind: Kind) -> Path:
    """Write a slide; level 0 is `texture`, the others are its averages."""
    width, height = kind.size
    full = texture(width, height)
    photometric = 2 if kind.rgb else 6
    with tifffile.TiffWriter(path, bigtiff=kind.big, byteorder=kind.byteorder) as tiff:
        for level, factor in enumerate(kind.factors):
            size = (width // factor, height // factor)
            image = cv2.resize(full, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
            tiles = [encode_tile(tile, kind) for tile in cut_tiles(image, kind.tile)]
            options: dict[str, Any] = {}
            if kind.shared_tables:
                tables = _split(tiles[0])[0]
                options["extratags"] = [(347, 7, len(tables), tables, True)]
                tiles = [_split(tile)[1] for tile in tiles]
            gone = {tile for at, tile in kind.missing if at == level}
            tiff.write(
                iter([b"" if at in gone else tile for at, tile in enumerate(tiles)]),
                shape=(*size[::-1], 3),
                dtype=np.uint8,
                tile=kind.tile[::-1],
                photometric="rgb" if kind.rgb else "ycbcr",
                subsampling=None if kind.rgb else kind.subsampling,
                compression="jpeg",
                subfiletype=0 if kind.aperio or not level else 1,
                description=_about(kind) if kind.aperio else None,
                resolution=None if kind.aperio else (20_000, 20_000),
                resolutionunit=None if kind.aperio else "CENTIMETER",
                metadata=None,
                software=False,
                **options,
            )
            if kind.aperio and not level:  # the second image of an SVS is a thumbnail in strips
                tiff.write(image[::8, ::8], photometric="rgb", rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as written:
        for page in written.pages:
            if (
                isinstance(page, tifffile.TiffPage) and page.is_tiled
            ):  # tifffile calls every JPEG YCbCr
                page.tags["PhotometricInterpretation"].overwrite(photometric)
    return path


def segments(jpeg: bytes) -> list[tuple[int, bytes]]:
    """Marker and bytes of each segment; the scan comes last, with all that follows."""
    found, at = [], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        found.append((jpeg[at + 1], jpeg[at:end]))
        at = end
    return [*found, (0xDA, jpeg[at:])]


def encode_tile(tile: Pixels, kind: Kind) -> bytes:
    """A tile as a JPEG, with the markers that `kind` says."""
    data = bytes(
        imagecodecs.jpeg8_encode(
            tile,
            level=80,
            colorspace="RGB",
            outcolorspace="RGB" if kind.rgb else "YCBCR",
            subsampling=kind.subsampling,
        )
    )
    kept = [piece for marker, piece in segments(data) if kind.adobe or marker not in (0xE0, 0xEE)]
    return b"\xff\xd8" + (JFIF if kind.jfif else b"") + b"".join(kept)


def _split(jpeg: bytes) -> tuple[bytes, bytes]:
    """Tables and the rest of a JPEG, each a JPEG of its own."""
    tables = b"".join(piece for marker, piece in segments(jpeg) if marker in (0xDB, 0xC4))
    rest = b"".join(piece for marker, piece in segments(jpeg) if marker not in (0xDB, 0xC4))
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest


def cut_tiles(image: Pixels, tile: tuple[int, int]) -> Iterator[Pixels]:
    """All tiles of (width, height) of an image, row by row; the last ones are padded."""
    (height, width), (tw, th) = image.shape[:2], tile
    padded = np.pad(image, ((0, -height % th), (0, -width % tw), (0, 0)), mode="reflect")
    for top in range(0, height, th):
        for left in range(0, width, tw):
            yield np.ascontiguousarray(padded[top : top + th, left : left + tw])


def _about(kind: Kind) -> str:
    return f"Aperio Image Library v11\r\n{kind.size[0]}x{kind.size[1]}|AppMag = 20|MPP = 0.5"


def tile_places(size: Sequence[int], tile: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(x, y) of every tile of a level."""
    return ((x, y) for y in range(0, size[1], tile[1]) for x in range(0, size[0], tile[0]))
