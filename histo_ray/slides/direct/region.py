"""Which tiles a region is made of, and how OpenSlide places it. Pure."""

from typing import NamedTuple

from histo_ray.types import Size

Corner = tuple[int, int]
"""(x, y) of a region's top-left px."""

OPENSLIDE_BLOCK_PX = 4096
"""OpenSlide paints larger regions block by block and places each block anew."""


class Cut(NamedTuple):
    """What one tile has of a region, along one axis."""

    number: int
    """Column or row of the tile."""
    region: slice
    """Where it goes."""
    tile: slice
    """Which part of the tile it is."""


def place_region(corner: Corner, downsample: float, size: Size) -> Corner | None:
    """Where a region begins in px of its level, if it lies on whole px there.

    OpenSlide divides the corner by the level's downsample. Where that gives a fraction it mixes
    neighbouring pixels, which is left to it.

    Args:
        corner: (x, y) in level-0 px.
        downsample: Downsample of the level, as OpenSlide states it.
        size: (width, height) of the region in px of the level.

    Returns:
        (x, y) in px of the level, or None.
    """
    if downsample != 1 and max(size) > OPENSLIDE_BLOCK_PX:
        return None
    x, y = (_place_axis(start, downsample) for start in corner)
    return None if x is None or y is None else (x, y)


def place_area(corner: Corner, downsample: float, size: Size, area: Corner) -> Corner | None:
    """Where a region begins in px of a scanned area, for formats that place areas on whole px.

    OpenSlide's driver `leica` cuts the fraction off after it has taken the area's corner away.

    Args:
        corner: (x, y) in level-0 px.
        downsample: Downsample of the level, as OpenSlide states it.
        size: (width, height) of the region in px of the level.
        area: (x, y) of the area's corner in px of the level.

    Returns:
        (x, y) in px of the area, or None if OpenSlide paints the region in blocks.
    """
    if downsample != 1 and max(size) > OPENSLIDE_BLOCK_PX:
        return None
    x, y = (
        int(max(start, 0) / downsample - origin) - int(max(-start, 0) / downsample)
        for start, origin in zip(corner, area, strict=True)
    )
    return x, y


def _place_axis(start: int, downsample: float) -> int | None:
    if start < 0:
        return -int(-start / downsample)  # OpenSlide cuts the fraction off here
    px = start / downsample
    return int(px) if px.is_integer() else None


def cut_axis(start: int, length: int, end: int, tile: int, begin: int = 0) -> list[Cut]:
    """Cut a region into tiles along one axis.

    Args:
        start: Where the region begins, in px of the tiles' image.
        length: Its length.
        end: Where the image ends, and what a tile has beyond is padding.
        tile: Edge of a tile; the first one begins at 0.
        begin: Where the image begins to be shown.

    Returns:
        Tiles that have some of the region, in order.
    """
    first, stop = max(start, begin), min(start + length, end)
    if first >= stop:
        return []
    cuts = []
    for number in range(first // tile, -(-stop // tile)):
        origin = number * tile
        low, high = max(first, origin), min(stop, origin + tile)
        cuts.append(
            Cut(number, slice(low - start, high - start), slice(low - origin, high - origin))
        )
    return cuts


def covered(cuts: list[Cut]) -> int:
    """Length of a region, along one axis, that lies within the level."""
    return cuts[-1].region.stop - cuts[0].region.start if cuts else 0
