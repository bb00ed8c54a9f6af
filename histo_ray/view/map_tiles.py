"""A slide as a pyramid of square map tiles, each half as fine as the next: geometry and pixels."""

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.slides.levels import finest_enough, nominal_downsample
from histo_ray.slides.overview import Readable
from histo_ray.tiles.resample import resample_tile
from histo_ray.types import Mpp, Size

MAP_PX = 512
"""Edge of a map tile."""
ENLARGED = 2
"""Zoom levels beyond level 0, at which its pixels are enlarged."""
MOST_READ_PX = 2048
"""Longest edge that is read at once, in px of a level; memory stays bounded."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MapPyramid:
    """Which map tiles a slide has."""

    size: Size
    """(width, height) of level 0."""

    @property
    def native_zoom(self) -> int:
        """Zoom at which a map pixel is a level-0 px; at zoom 0 one map tile holds the slide."""
        return max(0, math.ceil(math.log2(max(*self.size, 1) / MAP_PX)))

    @property
    def most_zoom(self) -> int:
        """Largest zoom that is served."""
        return self.native_zoom + ENLARGED

    @property
    def extent(self) -> int:
        """Edge of the square that zoom 0 covers, level-0 px."""
        return MAP_PX << self.native_zoom

    def downsample(self, zoom: int) -> float:
        """Level-0 px per map pixel."""
        return float(2.0 ** (self.native_zoom - zoom))

    def corner(self, zoom: int, column: int, row: int) -> tuple[int, int]:
        """(x, y) of a map tile's top-left corner, level-0 px.

        Raises:
            IndexError: There is no such tile.
        """
        if not 0 <= zoom <= self.most_zoom:
            raise IndexError(f"zoom {zoom} of 0 to {self.most_zoom}")
        edge = MAP_PX * self.downsample(zoom)
        x, y = int(column * edge), int(row * edge)
        if column < 0 or row < 0 or x >= self.size[0] or y >= self.size[1]:
            raise IndexError(f"map tile {column}, {row} lies outside the slide at zoom {zoom}")
        return x, y


class MapSlide(Readable, Protocol):
    """What map tiles are read from."""

    @property
    def overview(self) -> Pixels:
        """(height, width, 3) of the whole slide, small; made when it is first asked for."""


def read_map_tile(slide: MapSlide, pyramid: MapPyramid, zoom: int, column: int, row: int) -> Pixels:
    """Read a map tile from the coarsest level that is fine enough.

    At zooms that a level has, its pixels are those of `OpenedSlide.read`; else they are averaged.
    Where no level is nearly coarse enough, the overview is, if it is fine enough.

    Args:
        slide: An open slide.
        pyramid: Of its size.
        zoom: Of the map tile.
        column: From the left.
        row: From the top.

    Returns:
        (MAP_PX, MAP_PX, 3) uint8 RGB; the background's colour beyond the slide.

    Raises:
        IndexError: There is no such tile.
        SlideError: The file is damaged there.
    """
    corner = pyramid.corner(zoom, column, row)
    wanted = pyramid.downsample(zoom)
    facts = slide.pyramid
    level = finest_enough(facts, Mpp(facts.mpp.x * wanted, facts.mpp.y * wanted))
    scale = nominal_downsample(facts, level)
    extent = (MAP_PX * wanted / scale[0], MAP_PX * wanted / scale[1])
    if max(extent) > MOST_READ_PX and wanted * max(slide.overview.shape[:2]) >= max(facts.size):
        return _cut_overview(slide.overview, facts.size, corner, wanted)
    return _read_scaled(slide, corner, level, scale, extent, MAP_PX)


def _read_scaled(
    slide: Readable,
    corner: tuple[int, int],
    level: int,
    scale: tuple[float, float],
    extent: tuple[float, float],
    edge: int,
) -> Pixels:
    """Read a square of `extent` level px into one of `edge` px, in quarters where it is large."""
    if max(extent) > MOST_READ_PX and edge > 1:
        half, quarter = edge // 2, (extent[0] / 2, extent[1] / 2)
        tile = np.empty((edge, edge, 3), np.uint8)
        for down in (0, 1):
            for across in (0, 1):
                x = corner[0] + round(across * quarter[0] * scale[0])
                y = corner[1] + round(down * quarter[1] * scale[1])
                part = _read_scaled(slide, (x, y), level, scale, quarter, half)
                tile[down * half : (down + 1) * half, across * half : (across + 1) * half] = part
        return tile
    width, height = (max(1, math.ceil(side - 1e-6)) for side in extent)
    region = slide.read(corner, level, (width, height))
    if (width, height) == (edge, edge):
        return region
    if max(extent) < edge:
        return np.asarray(cv2.resize(region, (edge, edge), interpolation=cv2.INTER_CUBIC), np.uint8)
    tile = np.empty((edge, edge, 3), np.uint8)
    resample_tile(region, (min(extent[0], width), min(extent[1], height)), tile)
    return tile


def _cut_overview(
    overview: Pixels, size: Size, corner: tuple[int, int], downsample: float
) -> Pixels:
    """Cut a map tile out of an overview, white beyond the slide."""
    high, wide = overview.shape[:2]
    x_scale, y_scale = wide / size[0], high / size[1]
    edge = MAP_PX * downsample
    left, top = round(corner[0] * x_scale), round(corner[1] * y_scale)
    right = max(left + 1, round((corner[0] + edge) * x_scale))
    bottom = max(top + 1, round((corner[1] + edge) * y_scale))
    region = np.full((bottom - top, right - left, 3), 255, np.uint8)
    found = overview[top:bottom, left:right]
    region[: found.shape[0], : found.shape[1]] = found
    return np.asarray(cv2.resize(region, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA), np.uint8)
