"""Levels of a Hamamatsu NDPI, by the rules of OpenSlide's driver `hamamatsu-ndpi`.

Between the levels of the file lie others that are decoded at a half, a quarter or an eighth.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

from histo_ray.slides.direct.jpeg import UnusualJpegError
from histo_ray.slides.direct.layout import Layout, Level, TileArray, UnrecognisedError
from histo_ray.slides.direct.ndpi_strips import StripHeader, StripTiles, read_strip_header
from histo_ray.slides.direct.vendor_tiff import KnownSlide, full_pages, parse_tiff
from histo_ray.types import Size

_WIDTH, _HEIGHT, _OFFSETS, _COUNTS = 256, 257, 273, 279
_FLAG, _LENS, _FOCAL_PLANE, _STARTS, _STARTS_HIGH = 65420, 65421, 65424, 65426, 65432
_MOST_HEADER_BYTES = 2**17
_MOST_JPEG_PX = 65_500
_STRIP_PX = 8
"""Height of an interval of a JPEG whose colours are not halved from top to bottom."""
_GROUP_PX, _MOST_TILE_PX, _MOST_ROW_BYTES = 256, 2**22, 2**25
"""Most rows of px, most px, and most bytes across the slide, of intervals decoded as one: the
cache has to hold several such rows."""


class _Image(NamedTuple):
    """One level of the file."""

    size: Size
    strip: Size
    header: StripHeader
    starts: npt.NDArray[np.int64] | None
    """Where the intervals begin, and where the last ends; None if the index is missing or wrong."""


@dataclass(frozen=True)
class _Choice:
    """One level that OpenSlide offers: an image, and by how much it is shrunk."""

    image: _Image
    shrink: int

    @property
    def size(self) -> Size:
        width, height = self.image.size
        return width // self.shrink, height // self.shrink

    @property
    def strip(self) -> Size:
        width, height = self.image.strip
        return width // self.shrink, height // self.shrink


def read_ndpi(path: str, known: KnownSlide) -> Layout:
    """Find the restart intervals of each level.

    Args:
        path: Local file.
        known: The slide by OpenSlide.

    Raises:
        UnrecognisedError: No NDPI, or anything is not as this reader knows it.
    """
    with parse_tiff(path, is_ndpi=True) as tiff:
        pages = [page for page in full_pages(tiff) if _is_level(page)]
        images = [_read_image(tiff, page) for page in pages]
    widths = [image.size[0] for image in images]
    if not images or any(b >= a for a, b in pairwise(widths)):
        raise UnrecognisedError("levels in an unexpected order")
    choices: dict[int, _Choice] = {}
    for image in images:
        for shrink in (1, 2, 4, 8):
            if not any(edge % shrink for edge in image.strip):
                choice = _Choice(image, shrink)
                choices[choice.size[0]] = choice  # a later image goes before a shrunk one
    chosen = [choices[width] for width in sorted(choices, reverse=True)]
    found = [(choice.size, choice.strip) for choice in chosen]
    if found != list(zip(known.level_sizes, known.tile_sizes, strict=True)):
        raise UnrecognisedError(f"levels {found}, where OpenSlide finds others")
    return Layout(tuple(_make_level(choice) for choice in chosen))


def _is_level(page: tifffile.TiffPage) -> bool:
    lens, plane = page.tags.valueof(_LENS), page.tags.valueof(_FOCAL_PLANE, 0)
    if page.index == 0 and _FLAG not in page.tags:
        raise UnrecognisedError("no NDPI")
    return isinstance(lens, (int, float)) and lens > 0 and plane == 0


def _read_image(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> _Image:
    """One level of the file: its header, and where its intervals begin."""
    numbers = [page.tags.valueof(code) for code in (_WIDTH, _HEIGHT, _OFFSETS, _COUNTS)]
    start, count = (n[0] if isinstance(n, tuple) and len(n) == 1 else n for n in numbers[2:])
    width, height = numbers[:2]
    if not all(isinstance(n, int) and n > 0 for n in (width, height, start, count)):
        raise UnrecognisedError("an image that is not one strip")
    if start + count > tiff.filehandle.size:
        raise UnrecognisedError("an image beyond the end of the file")
    tiff.filehandle.seek(start)
    try:
        header = read_strip_header(tiff.filehandle.read(min(count, _MOST_HEADER_BYTES)))
    except UnusualJpegError as error:
        raise UnrecognisedError(str(error)) from error
    size = (width, height)
    if max(size) <= _MOST_JPEG_PX and size != header.size:
        if header.restart_mcus:
            raise UnrecognisedError("a JPEG of another size than its image")
        size = header.size
    strip = _strip_size(header, size)
    begins = start + len(header.data)
    index = _read_starts(page, size, strip, (start, begins, start + count))
    return _Image(size, strip, header, index)


def _strip_size(header: StripHeader, size: Size) -> Size:
    """(width, height) of an interval; the whole image if there are no markers."""
    if not header.restart_mcus:
        if max(size) > _MOST_JPEG_PX:
            raise UnrecognisedError("a large JPEG without restart markers")
        return size
    strip = header.mcu[0] * header.restart_mcus, header.mcu[1]
    if any(whole % edge for whole, edge in zip(size, strip, strict=True)):
        raise UnrecognisedError(f"intervals of {strip} px that do not divide the image")
    return strip


def _read_starts(
    page: tifffile.TiffPage, size: Size, strip: Size, ends: tuple[int, int, int]
) -> npt.NDArray[np.int64] | None:
    """Where the intervals begin, and where the last ends; None if OpenSlide has to search.

    Args:
        page: The directory.
        size: (width, height) of the image.
        strip: (width, height) of an interval.
        ends: Where the JPEG begins in the file, where its scan begins, and where it ends.
    """
    start, begins, end = ends
    count = (size[0] // strip[0]) * (size[1] // strip[1])
    if count == 1:
        return np.array([begins, end], np.int64)
    low = np.atleast_1d(np.asarray(page.tags.valueof(_STARTS, ())))
    high = np.atleast_1d(np.asarray(page.tags.valueof(_STARTS_HIGH, (0,) * count)))
    if any(part.shape != (count,) or part.dtype.kind not in "iu" for part in (low, high)):
        return None
    offsets = (low.astype(np.int64) & 0xFFFFFFFF) + (high.astype(np.int64) << 32)
    starts = np.concatenate([[begins], start + offsets[1:], [end]]).astype(np.int64)
    return starts if (np.diff(starts) > 4).all() else None


def _make_level(choice: _Choice) -> Level:
    """A level that is read here where the index is sound and no tile is too large."""
    image, shrink = choice.image, choice.shrink
    columns, rows = (whole // edge for whole, edge in zip(image.size, image.strip, strict=True))
    most_px = min(_GROUP_PX, _MOST_ROW_BYTES // (3 * image.size[0]))
    most_px = min(most_px, _MOST_TILE_PX // image.strip[0])
    group = max(1, min(rows, most_px // image.strip[1]))
    tile = choice.strip[0], choice.strip[1] * group
    starts = image.starts
    usable = starts is not None and image.strip[0] * image.strip[1] <= _MOST_TILE_PX
    if columns * rows > 1:  # OpenSlide fails on strips whose colours are halved downwards
        usable &= image.strip[1] == _STRIP_PX
    if starts is None:
        starts = np.zeros(columns * rows + 1, np.int64)
    codes = StripTiles(
        image.header, image.strip, starts, columns=columns, group=group, shrink=shrink
    )
    return Level(choice.size, (TileArray(choice.size, tile, codes),), usable)
