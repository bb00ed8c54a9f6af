"""Decodes each JPEG tile of a slide once; OpenSlide reads whatever is unusual."""

import math
import time
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.direct.cache import Key, TileCache, shared_cache
from histo_ray.slides.direct.jpeg import (
    NO_HEADER,
    UnusualJpegError,
    decode_tile,
    read_header,
)
from histo_ray.slides.direct.region import Corner, covered, cut_axis, place_region
from histo_ray.slides.direct.source import ByteSource, LocalFile, StandIn
from histo_ray.slides.direct.tiff_layout import Level, UnrecognisedError, read_layout
from histo_ray.slides.direct.traffic import FETCHED
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.storage.check import explain_here
from histo_ray.storage.trouble import is_remote
from histo_ray.types import Size

Pixels = npt.NDArray[np.uint8]
_OWNERS = count()  # next() is atomic


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
        about = known.vendor, known.level_sizes, known.tile_sizes
        if tiff is None:
            with Path(path).open("rb") as file:
                levels = read_layout(file, *about)
        else:
            levels = read_layout(tiff, *about)
        self._known = known
        self._stand_in: StandIn | None = None
        self._levels = levels
        self._usable = [_usable(x, at, levels, known.vendor) for at, x in enumerate(levels)]
        self._cache = shared_cache() if cache is None else cache
        if remote is None:
            self._source: ByteSource = LocalFile(path)
        elif all(self._usable):
            self._source, self._stand_in = remote
        else:
            raise UnrecognisedError("missing tiles")
        self._background = np.array(known.background, np.uint8)
        self._owner = next(_OWNERS)
        self._need = 0
        self._headers = [NO_HEADER] * len(levels)
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
        start = None
        if self._usable[level]:
            start = place_region(corner, self._known.downsamples[level], size)
        if start is not None:
            try:
                self._assemble(region, start, level)
                return
            except UnusualJpegError:
                pass  # OpenSlide has the last word on it
        if self._stand_in is not None:
            self._fill(self._stand_in, corner, level, size)
        self._known.read_into(region, corner, level)

    def close(self) -> None:
        """Release the file and the decoded tiles."""
        self._source.close()
        self._cache.forget(self._owner)
        self._known.close()

    def _fill(self, local: StandIn, corner: Corner, level: int, size: Size) -> None:
        """Bring here what OpenSlide will read of a remote slide: the tiles, and one px around."""
        about, downsample = self._levels[level], self._known.downsamples[level]
        columns, rows = (
            cut_axis(math.floor(max(start, 0) / downsample) - 1, length + 3, end, tile)
            for start, length, end, tile in zip(corner, size, about.size, about.tile, strict=True)
        )
        for row in rows:
            for column in columns:
                at = row.number, column.number
                try:
                    local.fill(int(about.offsets[at]), int(about.counts[at]))
                except OSError as error:
                    raise self._lost(error) from error

    def _assemble(self, region: Pixels, start: Corner, level: int) -> None:
        about = self._levels[level]
        height, width = region.shape[:2]
        columns = cut_axis(start[0], width, about.size[0], about.tile[0])
        rows = cut_axis(start[1], height, about.size[1], about.tile[1])
        self._provide(about, len(rows))
        if (covered(columns), covered(rows)) != (width, height) or not about.complete:
            region[:] = self._background
        for row in rows:
            for column in columns:
                tile = self._tile(level, column.number, row.number)
                if tile is not None:
                    region[row.region, column.region] = tile[row.tile, column.tile]

    def _provide(self, about: Level, rows: int) -> None:
        """Have room for the rows of tiles that a walk along such regions comes back to."""
        need = (rows + 1) * about.columns * about.tile_bytes
        if need > self._need:
            self._need = need
            self._cache.need(self._owner, need)

    def _tile(self, level: int, column: int, row: int) -> Pixels | None:
        """A decoded tile; None if it is missing."""
        key = Key(self._owner, level, column, row)
        tile = self._cache.get(key)
        if tile is None:
            about = self._levels[level]
            length = int(about.counts[row, column])
            if not length:
                return None
            data = self._fetch(int(about.offsets[row, column]), length)
            tile = decode_tile(self._restate(data, level), about.tile)
            self._cache.put(key, tile)
        return tile

    def _restate(self, data: bytes, level: int) -> bytes:
        """A tile as a JPEG that stands alone; the last header is tried first."""
        whole = self._headers[level].restate(data)
        if whole is None:
            about = self._levels[level]
            header = read_header(data, about.tables, about.tile, rgb=about.rgb)
            self._headers[level] = header
            whole = header.restated + data[len(header.stated) :]
        return whole

    def _fetch(self, offset: int, length: int) -> bytes:
        began = time.perf_counter()
        try:
            data = self._source.read_at(offset, length)
        except OSError as error:
            raise self._lost(error) from error
        FETCHED.add(len(data), time.perf_counter() - began)
        return data

    def _lost(self, error: OSError) -> SlideError:
        """What to raise where bytes cannot be had: the network's fault, or the file's."""
        if is_remote(error):
            return SlideError(self._known.slide_id, str(explain_here(error)))
        return self._known.damaged(error)


def _usable(level: Level, at: int, levels: tuple[Level, ...], vendor: str) -> bool:
    """Whether missing tiles of this level are plain background.

    Aperio's are drawn from the finer level, and what was averaged from missing tiles counts as
    missing itself: levels that this may concern are left to OpenSlide.
    """
    if vendor != "aperio" or at == 0:
        return True
    return level.complete and all(finer.complete for finer in levels[:at])
