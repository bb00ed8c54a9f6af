"""Encoded pictures that the viewer serves: map tiles, grids, single tiles; each made once."""

import math

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from histo_ray.errors import SlideError
from histo_ray.types import PartitionKey
from histo_ray.view.byte_cache import ByteCache
from histo_ray.view.map_tiles import MAP_PX, MapPyramid, read_map_tile
from histo_ray.view.slide_pool import SlidePool
from histo_ray.view.tile_raster import draw_grid
from histo_ray.view.viewed_store import ViewedStore

QUALITY = 90
CACHE_BYTES = 256 << 20
GROUND = (236, 239, 242)
"""RGB of the map where no slide is."""
MOST_TILE_PX = 1024
"""Longest edge of a pictured tile."""


class Pictures:
    """Makes pictures; its methods may be called from several threads."""

    def __init__(self, store: ViewedStore, pool: SlidePool) -> None:
        self._store, self._pool = store, pool
        self._cache = ByteCache(CACHE_BYTES)

    def draw_map_tile(self, slide_id: str, zoom: int, column: int, row: int) -> bytes:
        """A map tile of a slide, JPEG.

        Raises:
            SlideError: The slide cannot be read.
            IndexError: There is no such tile.
        """
        name = f"map/{slide_id}/{zoom}/{column}/{row}"
        kept = self._cache.get(name)
        if kept is None:
            with self._pool.borrow(slide_id) as slide:
                pyramid = MapPyramid(slide.pyramid.size)
                pixels = read_map_tile(slide, pyramid, zoom, column, row)
                hide_beyond(pixels, pyramid, zoom, column, row)
            kept = encode_jpeg(pixels)
            self._cache.put(name, kept)
        return kept

    def draw_grid_tile(self, key: PartitionKey, zoom: int, column: int, row: int) -> bytes:
        """Outlines of a slide's tiles on a map tile, PNG.

        Raises:
            StoreError: The partition cannot be read.
            IndexError: There is no such tile.
        """
        slide = self._store.load(key)
        pyramid = MapPyramid(slide.size)
        corner = pyramid.corner(zoom, column, row)
        grid = draw_grid(slide.coords, slide.side, corner, pyramid.downsample(zoom), MAP_PX)
        _, data = cv2.imencode(".png", cv2.cvtColor(grid, cv2.COLOR_RGBA2BGRA))
        return data.tobytes()

    def draw_tile(self, key: PartitionKey, tile_id: int, longest_px: int) -> bytes:
        """One tile from level 0, JPEG.

        Args:
            key: The partition that it is of.
            tile_id: Number of the tile.
            longest_px: Larger tiles are shrunk to it.

        Raises:
            SlideError: The slide cannot be read.
            StoreError: The partition cannot be read.
            IndexError: There is no such tile.
        """
        name = f"tile/{'/'.join(key)}/{tile_id}/{longest_px}"
        kept = self._cache.get(name)
        if kept is not None:
            return kept
        slide = self._store.load(key)
        if not 0 <= tile_id < len(slide.rows):
            raise IndexError(f"tile {tile_id} of {len(slide.rows)}")
        x, y = slide.coords[tile_id].tolist()
        width, height = (max(1, round(side)) for side in slide.side)
        if max(width, height) > 16 * MOST_TILE_PX:
            raise SlideError(key.slide_id, f"a tile of {width} x {height} px is not pictured")
        with self._pool.borrow(key.slide_id) as opened:
            pixels = opened.read((x, y), 0, (width, height))
        scale = min(1.0, min(longest_px, MOST_TILE_PX) / max(width, height))
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        kept = encode_jpeg(pixels)
        self._cache.put(name, kept)
        return kept


def hide_beyond(
    pixels: npt.NDArray[np.uint8], pyramid: MapPyramid, zoom: int, column: int, row: int
) -> None:
    """Give what lies beyond the slide the colour of the map's ground."""
    x, y = pyramid.corner(zoom, column, row)
    scale = pyramid.downsample(zoom)
    pixels[:, max(0, math.ceil((pyramid.size[0] - x) / scale)) :] = GROUND
    pixels[max(0, math.ceil((pyramid.size[1] - y) / scale)) :] = GROUND


def encode_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode (height, width, 3) uint8 RGB without subsampling its colours."""
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB", colorsubsampling="444"
    )
    return data
