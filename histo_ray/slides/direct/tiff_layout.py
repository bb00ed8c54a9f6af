"""Where the tiles of a slide lie in its TIFF, for slides that are understood completely.

The rules of which directory is which level are OpenSlide's (its vendor drivers `aperio` and
`generic-tiff`); levels found by them are compared with the levels that OpenSlide itself reports.
"""

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import tifffile

from histo_ray.slides.direct.indexed_tiles import IndexedTiles
from histo_ray.slides.direct.jpeg import UnusualJpegError, join_tables
from histo_ray.slides.direct.layout import (
    MAX_TILE_BYTES,
    MAX_TILE_PX,
    ImpossibleError,
    Level,
    TileArray,
    UnrecognisedError,
)
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.slides.tiff_levels import level_pages
from histo_ray.types import Size

VENDORS = ("aperio", "generic-tiff")


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
    levels: list[Level] = []
    for page in pages:
        array = read_tile_array(page, end)
        usable = vendor != "aperio" or _shows_holes(array, levels)
        levels.append(Level(array.size, (array,), usable))
    return tuple(levels)


def _shows_holes(array: TileArray, finer: Sequence[Level]) -> bool:
    """Whether missing tiles of an Aperio's level are plain background.

    They are drawn from the finer level, and what was averaged from missing tiles counts as
    missing itself: levels that this may concern are left to OpenSlide.
    """
    return not finer or (array.codes.complete and all(level.complete for level in finer))


def read_tile_array(page: tifffile.TiffPage, file_bytes: int) -> TileArray:
    """The tiles of one directory.

    Args:
        page: A directory of tiles.
        file_bytes: Size of the file.

    Raises:
        UnrecognisedError: Not 8-bit RGB or YCbCr JPEG, or anything is out of the ordinary.
    """
    if not page.is_tiled:
        raise UnrecognisedError("strips in place of tiles")
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
    index = offsets.reshape(rows, columns), counts.reshape(rows, columns)
    rgb = page.photometric == tifffile.PHOTOMETRIC.RGB
    return TileArray(
        size=(page.imagewidth, page.imagelength),
        tile=(width, height),
        codes=IndexedTiles((width, height), index, rgb=rgb, tables=tables),
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
