"""Back end that decodes each JPEG tile once; OpenSlide stays at hand for whatever is unusual."""

from pathlib import Path

import numpy as np

from histo_ray.slides.direct.cache import TileCache, shared_cache
from histo_ray.slides.direct.jpeg import UnusualJpegError, decode_tile, restate_tile
from histo_ray.slides.direct.layout import Level, read_layout
from histo_ray.slides.direct.region import (
    Pixels,
    Place,
    leaves_margin,
    paste_tile,
    place_region,
    tiles_of,
    touched,
)
from histo_ray.slides.direct.source import ByteSource, LocalFile
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.types import Size


class DirectReader:
    """One slide whose tiles are decoded without OpenSlide, to OpenSlide's pixels.

    What the slide is (levels, resolution, background) is taken from OpenSlide. Regions that are
    more than copies of decoded tiles are read by OpenSlide too: those between the pixels of a
    level, and those with a tile that is damaged or unusual. So whatever OpenSlide refuses is
    refused here.
    """

    name = "direct"

    def __init__(self, path: str, known: OpenSlideReader, cache: TileCache | None = None) -> None:
        """Take over a slide that OpenSlide has opened.

        Args:
            path: Local file.
            known: The same slide; closed with this reader, not if this raises.
            cache: Where decoded tiles are kept (default: one that the process shares).

        Raises:
            UnrecognisedError: The slide is not understood completely.
        """
        with Path(path).open("rb") as file:
            levels = read_layout(file, known.vendor, known.level_sizes, known.tile_sizes)
        self._known = known
        self._levels = levels
        self._usable = [_usable(x, at, levels, known.vendor) for at, x in enumerate(levels)]
        self._cache = shared_cache() if cache is None else cache
        self._source: ByteSource = LocalFile(path)
        self._background = np.array(known.background, np.uint8)
        self._itself = object()  # what its tiles in the cache are known by
        self.vendor = known.vendor
        self.level_sizes = known.level_sizes
        self.background = known.background
        self.stated_mpp = known.stated_mpp

    def read(self, corner: tuple[int, int], level: int, size: Size) -> Pixels:
        """Read a region; `corner` in level-0 px, `size` (width, height) in px of `level`."""
        place = None
        if self._usable[level]:
            place = place_region(corner, self._known.downsamples[level], size)
        if place is not None:
            try:
                return self._assemble(place, level, size)
            except UnusualJpegError:
                pass  # OpenSlide has the last word on it
        return self._known.read(corner, level, size)

    def close(self) -> None:
        """Release the file and the decoded tiles."""
        self._source.close()
        self._cache.forget(self._itself)
        self._known.close()

    def _assemble(self, corner: Place, level: int, size: Size) -> Pixels:
        about = self._levels[level]
        width, height = about.tile
        columns = tiles_of(corner[0], size[0], about.size[0], width)
        rows = tiles_of(corner[1], size[1], about.size[1], height)
        region = np.empty((size[1], size[0], 3), np.uint8)
        if leaves_margin(corner, size, about.size) or not about.complete:
            region[:] = self._background
        for column, row in touched(columns, rows):
            tile = self._tile(level, column, row)
            if tile is not None:
                paste_tile(region, corner, tile, (column * width, row * height), about.size)
        return region

    def _tile(self, level: int, column: int, row: int) -> Pixels | None:
        """A decoded tile; None if it is missing."""
        about = self._levels[level]
        count = int(about.counts[row, column])
        if not count:
            return None
        key = (self._itself, level, column, row)
        tile = self._cache.get(key)
        if tile is None:
            data = self._fetch(int(about.offsets[row, column]), count)
            tile = decode_tile(restate_tile(data, about.tables, about.tile, rgb=about.rgb), about.tile)
            self._cache.put(key, tile)
        return tile

    def _fetch(self, offset: int, count: int) -> bytes:
        try:
            return self._source.read_at(offset, count)
        except OSError as error:
            raise self._known.damaged(error) from error


def _usable(level: Level, at: int, levels: tuple[Level, ...], vendor: str) -> bool:
    """Whether missing tiles of this level are plain background.

    Aperio's are drawn from the finer level, and what was averaged from missing tiles counts as
    missing itself: levels that this may concern are left to OpenSlide.
    """
    if vendor != "aperio" or at == 0:
        return True
    return level.complete and all(finer.complete for finer in levels[:at])
