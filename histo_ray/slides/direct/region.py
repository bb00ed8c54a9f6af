"""Which tiles a region is made of, and how OpenSlide places it. Pure."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from histo_ray.types import Size

Pixels = npt.NDArray[np.uint8]
Place = tuple[int, int]

OPENSLIDE_BLOCK_PX = 4096
"""OpenSlide paints larger regions block by block and places each block anew."""


def place_region(corner: Place, downsample: float, size: Size) -> Place | None:
    """Where a region begins in px of its level, if it lies on whole px there.

    OpenSlide divides the corner by the level's downsample. Where that gives a fraction it mixes
    neighbouring pixels, which is left to it.

    Args:
        corner: (x, y) in level-0 px.
        downsample: Of the level, as OpenSlide has it.
        size: (width, height) of the region in px of the level.

    Returns:
        (x, y) in px of the level, or None.
    """
    if downsample != 1 and max(size) > OPENSLIDE_BLOCK_PX:
        return None
    x, y = (_place_axis(start, downsample) for start in corner)
    return None if x is None or y is None else (x, y)


def _place_axis(start: int, downsample: float) -> int | None:
    if start < 0:
        return -int(-start / downsample)  # OpenSlide cuts the fraction off here
    place = start / downsample
    return int(place) if place.is_integer() else None


def tiles_of(start: int, length: int, end: int, tile: int) -> range:
    """Tiles along one axis that a region touches.

    Args:
        start: Where the region begins.
        length: Its length.
        end: Where the level ends; it begins at 0.
        tile: Edge of a tile.
    """
    first, last = max(start, 0), min(start + length, end)
    return range(first // tile, -(-last // tile)) if first < last else range(0)


def paste_tile(region: Pixels, corner: Place, tile: Pixels, tile_corner: Place, end: Size) -> None:
    """Copy what a tile has of a region into it.

    Args:
        region: (h, w, 3), changed.
        corner: (x, y) of the region in px of the level.
        tile: (th, tw, 3).
        tile_corner: (x, y) of the tile in px of the level.
        end: (width, height) of the level; what a tile has beyond is padding.
    """
    (x, y), (tile_x, tile_y) = corner, tile_corner
    left, top = max(x, tile_x), max(y, tile_y)
    right = min(x + region.shape[1], tile_x + tile.shape[1], end[0])
    bottom = min(y + region.shape[0], tile_y + tile.shape[0], end[1])
    region[top - y : bottom - y, left - x : right - x] = tile[
        top - tile_y : bottom - tile_y, left - tile_x : right - tile_x
    ]


def leaves_margin(corner: Place, size: Size, end: Size) -> bool:
    """Whether a part of the region lies beyond the level."""
    return any(
        start < 0 or start + length > limit
        for start, length, limit in zip(corner, size, end, strict=True)
    )


def touched(columns: range, rows: range) -> Iterator[Place]:
    """(column, row) of tiles, row by row."""
    return ((column, row) for row in rows for column in columns)
