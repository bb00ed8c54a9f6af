"""Decodes each JPEG tile of a slide once; OpenSlide reads whatever is unusual."""

import math
import time
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.direct.cache import Key, TileCache, shared_cache
from histo_ray.slides.direct.formats import LAYOUTS
from histo_ray.slides.direct.jpeg import UnusualJpegError, decode_tile
from histo_ray.slides.direct.layout import Layout, Level, TileArray, UnrecognisedError
from histo_ray.slides.direct.region import Corner, covered, cut_axis, place_area, place_region
from histo_ray.slides.direct.source import ByteSource, LocalFile, StandIn
from histo_ray.slides.direct.tiff_layout import read_layout
from histo_ray.slides.direct.traffic import FETCHED
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.storage.check import explain_here
from histo_ray.storage.trouble import is_remote
from histo_ray.types import Size

Pixels = npt.NDArray[np.uint8]
_OWNERS = count()  # next() is atomic
_MOST_AREAS = 2**20
"""More than any level has: with it each area of each level has a number in the cache."""


class DirectReader:
    """One slide whose tiles are decoded without OpenSlide, to OpenSlide's pixels.

    What the slide is (levels, resolution, background) is taken from OpenSlide. Regions that are
    more than copies of decoded tiles are read by OpenSlide too: those between the pixels of a
    level, and those with a tile that is damaged or unusual. So whatever OpenSlide refuses is
    refused here.
    """

    name = "direct"
    levels_left_out: tuple[str, ...] = ()

    def __init__(
        self,
        path: str,
        known: OpenSlideReader,
        cache: TileCache | None = None,
        remote: tuple[ByteSource, StandIn] | None = None,
        tiff: tifffile.TiffFile | None = None,
    ) -> None:
        """Take over a slide that OpenSlide has opened.

        Args:
            path: Local file.
            known: The same slide; closed with this reader, not if this raises.
            cache: Where decoded tiles are kept (default: one that the process shares).
            remote: Where the tiles are if `path` is a stand-in, and that stand-in; closed alike.
            tiff: Its directories, if they are parsed already; not kept.

        Raises:
            UnrecognisedError: The slide is not understood completely.
        """
        layout = _find_layout(path, known, tiff)
        self._known = known
        self._stand_in: StandIn | None = None
        self._levels = layout.levels
        self._cache = shared_cache() if cache is None else cache
        if remote is not None:
            if not all(level.usable for level in layout.levels):
                raise UnrecognisedError("missing tiles")
            self._sources: list[ByteSource] = [remote[0]]
            self._stand_in = remote[1]
        else:
            self._sources = _open_files(layout.files or (path,))
        self._background = np.array(known.background, np.uint8)
        self._owner = next(_OWNERS)
        self._need = 0
        self.vendor = known.vendor
        self.level_sizes = known.level_sizes
        self.background = known.background
        self.stated_mpp = known.stated_mpp

    def read(self, corner: tuple[int, int], level: int, size: Size) -> Pixels:
        """Read a region; `corner` in level-0 px, `size` (width, height) in px of `level`."""
        region = np.empty((size[1], size[0], 3), np.uint8)
        self.read_into(region, corner, level)
        return region

    def read_into(self, region: Pixels, corner: tuple[int, int], level: int) -> None:
        """Read the region at `corner` (level-0 px) that fills `region`, (h, w, 3) px of `level`."""
        size = (region.shape[1], region.shape[0])
        starts = self._place(self._levels[level], corner, self._known.downsamples[level], size)
        if starts is not None:
            try:
                self._assemble(region, starts, level)
                return
            except UnusualJpegError:
                pass  # OpenSlide has the last word on it
        if self._stand_in is not None:
            self._fill(self._stand_in, corner, level, size)
        self._known.read_into(region, corner, level)

    def close(self) -> None:
        """Release the file and the decoded tiles."""
        for source in self._sources:
            source.close()
        self._cache.forget(self._owner)
        self._known.close()

    def _fill(self, local: StandIn, corner: Corner, level: int, size: Size) -> None:
        """Bring here what OpenSlide will read of a remote slide: the tiles, and one px around."""
        downsample = self._known.downsamples[level]
        for array in self._levels[level].arrays:
            columns, rows = (
                cut_axis(math.floor(max(start, 0) / downsample) - 1, length + 3, end, tile)
                for start, length, end, tile in zip(
                    corner, size, array.size, array.tile, strict=True
                )
            )
            for row in rows:
                for column in columns:
                    for each in array.codes.ranges(column.number, row.number):
                        try:
                            local.fill(*each)
                        except OSError as error:
                            raise self._lost(error) from error

    @staticmethod
    def _place(level: Level, corner: Corner, downsample: float, size: Size) -> list[Corner] | None:
        """Where a region begins in px of each area; None if OpenSlide has to read it."""
        if not level.usable:
            return None
        if level.whole_px:
            areas = [place_area(corner, downsample, size, a.corner) for a in level.arrays]
            return [start for start in areas if start is not None] or None
        start = place_region(corner, downsample, size)
        if start is None:
            return None
        return [(start[0] - a.corner[0], start[1] - a.corner[1]) for a in level.arrays]

    def _assemble(self, region: Pixels, starts: list[Corner], level: int) -> None:
        about = self._levels[level]
        if len(about.arrays) > 1:
            region[:] = self._background
        for number in reversed(range(len(starts))):  # the first is shown where areas overlap
            self._copy_tiles(region, starts[number], level, number)

    def _copy_tiles(self, region: Pixels, start: Corner, level: int, number: int) -> None:
        """Copy what one area has of a region that begins at its px `start`."""
        about = self._levels[level]
        array = about.arrays[number]
        height, width = region.shape[:2]
        columns, rows = (
            cut_axis(start[axis], length, array.size[axis], array.tile[axis], array.first[axis])
            for axis, length in ((0, width), (1, height))
        )
        self._provide(array, len(rows))
        if len(about.arrays) == 1 and (
            (covered(columns), covered(rows)) != (width, height) or not array.codes.complete
        ):
            region[:] = self._background
        owner = level * _MOST_AREAS + number
        for row in rows:
            for column in columns:
                tile = self._tile(array, owner, column.number, row.number)
                if tile is not None:
                    region[row.region, column.region] = tile[row.tile, column.tile]

    def _provide(self, array: TileArray, rows: int) -> None:
        """Have room for the rows of tiles that a walk along such regions comes back to."""
        need = (rows + 1) * array.codes.columns * array.tile_bytes
        if need > self._need:
            self._need = need
            self._cache.need(self._owner, need)

    def _tile(self, array: TileArray, level: int, column: int, row: int) -> Pixels | None:
        """A decoded tile; None if it is missing."""
        key = Key(self._owner, level, column, row)
        tile = self._cache.get(key)
        if tile is None:
            tile = self._cache.provide(key, partial(self._decode, array, column, row))
        return tile

    def _decode(self, array: TileArray, column: int, row: int) -> Pixels | None:
        jpeg = array.codes.read_jpeg(partial(self._fetch, array.file), column, row)
        return None if jpeg is None else decode_tile(jpeg.data, jpeg.size, jpeg.shrink)

    def _fetch(self, file: int, offset: int, length: int) -> bytes:
        began = time.perf_counter()
        try:
            data = self._sources[file].read_at(offset, length)
        except OSError as error:
            raise self._lost(error) from error
        FETCHED.add(len(data), time.perf_counter() - began)
        return data

    def _lost(self, error: OSError) -> SlideError:
        """What to raise where bytes cannot be had: the network's fault, or the file's."""
        if is_remote(error):
            return SlideError(self._known.slide_id, str(explain_here(error)))
        return self._known.damaged(error)


def _find_layout(path: str, known: OpenSlideReader, tiff: tifffile.TiffFile | None) -> Layout:
    """Where the tiles of a slide are."""
    if known.vendor in LAYOUTS:
        return LAYOUTS[known.vendor](path, known)
    about = known.vendor, known.level_sizes, known.tile_sizes
    if tiff is not None:
        return Layout(read_layout(tiff, *about))
    with Path(path).open("rb") as file:
        return Layout(read_layout(file, *about))


def _open_files(paths: tuple[str, ...]) -> list[ByteSource]:
    """Open all of a slide's files, or none."""
    with ExitStack() as undo:
        sources: list[ByteSource] = []
        for path in paths:
            source = LocalFile(path)
            undo.callback(source.close)
            sources.append(source)
        undo.pop_all()
        return sources
    raise AssertionError  # an ExitStack without suppressing members never gets here
