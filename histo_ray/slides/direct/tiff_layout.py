"""Where the tiles of a slide lie in its TIFF, for slides that are understood completely.

The rules of which directory is which level are OpenSlide's (its vendor drivers `aperio` and
`generic-tiff`); levels found by them are compared with the levels that OpenSlide itself reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile

from histo_ray.slides.direct.jpeg import UnusualJpegError, join_tables
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.slides.tiff_levels import level_pages
from histo_ray.types import Size

VENDORS = ("aperio", "generic-tiff")
MAX_TILE_PX = 2048
"""A longer edge of a tile is left to OpenSlide: decoded, one takes 12 MiB."""
MAX_TILE_BYTES = 32 * 2**20
"""A tile that takes more in the file is left to OpenSlide."""


class UnrecognisedError(Exception):
    """What about a slide is not understood; OpenSlide has to read it."""


class ImpossibleError(UnrecognisedError):
    """A slide states what no file can be: OpenSlide would end the process over it."""


@dataclass(frozen=True)
class Level:
    """One level of the pyramid: its tiles in the file."""

    size: Size
    tile: Size
    """(width, height) of a tile."""
    rgb: bool
    """Whether tiles hold RGB; else YCbCr."""
    tables: bytes
    """JPEG tables that tiles share, from `join_tables`."""
    offsets: npt.NDArray[np.int64]
    """(rows, columns) of tiles: where each begins in the file."""
    counts: npt.NDArray[np.int64]
    """(rows, columns) of tiles: bytes of each; 0 if it is missing."""

    @property
    def columns(self) -> int:
        """Tiles across."""
        return int(self.counts.shape[1])

    @property
    def tile_bytes(self) -> int:
        """Bytes of a decoded tile."""
        return self.tile[0] * self.tile[1] * 3

    @cached_property
    def complete(self) -> bool:
        """Whether no tile is missing."""
        return bool(self.counts.all())


def read_layout(
    file: BinaryIO | tifffile.TiffFile, vendor: str, sizes: Sequence[Size], tiles: Sequence[Size]
) -> tuple[Level, ...]:
    """Find the tiles of each level.

    Args:
        file: The TIFF, which is only read; one that is parsed already is left open.
        vendor: OpenSlide's name for the format.
        sizes: (width, height) of each level by OpenSlide.
        tiles: (width, height) of a tile of each level by OpenSlide.

    Raises:
        UnrecognisedError: Anything is not as this reader knows it.
    """
    levels = find_levels(file, vendor)
    found = [level.size for level in levels]
    if found != list(sizes) or [level.tile for level in levels] != list(tiles):
        raise UnrecognisedError(f"levels {found}, where OpenSlide finds {list(sizes)}")
    return levels


def find_levels(file: BinaryIO | tifffile.TiffFile, vendor: str) -> tuple[Level, ...]:
    """The levels of a TIFF by its own directories alone; see `read_layout`."""
    if vendor not in VENDORS:
        raise UnrecognisedError(f"format {vendor or 'unknown'}")
    try:
        if isinstance(file, tifffile.TiffFile):
            return _read_levels(file, vendor)
        with tifffile.TiffFile(file) as tiff:
            return _read_levels(tiff, vendor)
    except (*DAMAGE, MemoryError) as error:  # of sizes that are made up
        raise UnrecognisedError(f"TIFF that cannot be parsed: {error}") from error


def _read_levels(tiff: tifffile.TiffFile, vendor: str) -> tuple[Level, ...]:
    pages = level_pages(tiff, vendor)
    if not all(isinstance(page, tifffile.TiffPage) for page in tiff.pages):
        raise UnrecognisedError("directories that are not read in full")
    widths = [page.imagewidth for page in pages]
    if vendor != "aperio" and len(set(widths)) != len(widths):
        raise UnrecognisedError("two levels of one width")
    end = tiff.filehandle.size
    return tuple(_read_level(page, end) for page in pages)


def _read_level(page: tifffile.TiffPage, file_bytes: int) -> Level:
    width, height = page.tilewidth, page.tilelength
    largest = max(page.databytecounts, default=0)
    if largest > file_bytes:
        raise ImpossibleError(f"a tile of {largest} bytes in a file of {file_bytes}")
    _check_page(page)
    columns, rows = -(-page.imagewidth // width), -(-page.imagelength // height)
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    if offsets.shape != (rows * columns,) or counts.shape != offsets.shape:
        raise UnrecognisedError(f"{len(offsets)} tiles, where {rows} x {columns} belong")
    if (offsets < 0).any() or (counts < 0).any() or (counts > MAX_TILE_BYTES).any():
        raise UnrecognisedError("implausible offsets of tiles")
    if (offsets > file_bytes - counts).any():
        raise UnrecognisedError("tiles beyond the end of the file")
    try:
        tables = join_tables(page.jpegtables or b"")
    except UnusualJpegError as error:
        raise UnrecognisedError(str(error)) from error
    return Level(
        size=(page.imagewidth, page.imagelength),
        tile=(width, height),
        rgb=page.photometric == tifffile.PHOTOMETRIC.RGB,
        tables=tables,
        offsets=offsets.reshape(rows, columns),
        counts=counts.reshape(rows, columns),
    )


def _check_page(page: tifffile.TiffPage) -> None:
    """Refuse whatever OpenSlide would not decode with libjpeg as it is, and odd sizes."""
    codes = [tag.code for tag in page.tags]
    known = {
        "compression": (page.compression, (tifffile.COMPRESSION.JPEG,)),
        "photometric": (page.photometric, (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)),
        "planar configuration": (page.planarconfig, (tifffile.PLANARCONFIG.CONTIG,)),
        "bits a sample": (page.bitspersample, (8,)),
        "samples a pixel": (page.samplesperpixel, (3,)),
        "depth": (page.imagedepth, (1,)),
        "fill order": (page.fillorder, (tifffile.FILLORDER.MSB2LSB,)),
        "tile width": (page.tilewidth, range(1, MAX_TILE_PX + 1)),
        "tile height": (page.tilelength, range(1, MAX_TILE_PX + 1)),
        "tags twice": (len(codes) - len(set(codes)), (0,)),
    }
    for what, (found, accepted) in known.items():
        if found not in accepted:
            raise UnrecognisedError(f"{what}: {found!r}")
