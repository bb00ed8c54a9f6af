"""Where the tiles of a slide lie. Pure: numpy in, numpy out."""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.config import TilingConfig
from histo_ray.slides.levels import require_fine_enough, snap
from histo_ray.types import Pyramid, TileGrid, TissueMask

_ROUNDING = 1e-6
"""A fraction this little below the threshold is at it."""


def plan_tiles(pyramid: Pyramid, mask: TissueMask | None, tiling: TilingConfig) -> TileGrid:
    """Lay a regular grid over the slide and keep the tiles that hold tissue.

    Tile k along an axis starts at the px nearest to k strides, so fractions never add up.

    Args:
        pyramid: Size and resolution of the slide.
        mask: Tissue mask covering the whole slide; None keeps every tile, as all tissue.
        tiling: Tile size and stride (px), resolution (mpp) and minimum tissue fraction.

    Returns:
        Kept tiles in row-major order, all inside the slide; empty if there is no tissue or the
        slide is smaller than one tile.

    Raises:
        SlideError: The slide is coarser than `tiling.mpp`, so its tiles would be enlarged.
    """
    require_fine_enough(pyramid, tiling.mpp)
    scale_x, scale_y = tiling.mpp / pyramid.mpp.x, tiling.mpp / pyramid.mpp.y
    side = snap(tiling.tile_px * scale_x), snap(tiling.tile_px * scale_y)
    width, height = pyramid.size
    xs = _starts(width, side[0], snap(tiling.stride * scale_x))
    ys = _starts(height, side[1], snap(tiling.stride * scale_y))
    coords = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    if mask is None:
        tissue = np.ones(len(coords), np.float32)
    else:
        tissue = tissue_fraction(mask, coords, side)
        kept = tissue >= tiling.min_tissue - _ROUNDING
        coords, tissue = coords[kept], tissue[kept]
    return TileGrid(pyramid.slide_id, coords, tissue, side)


def tissue_fraction(
    mask: TissueMask, coords: npt.NDArray[np.int32], side: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Area of each tile that is tissue; mask px cut by a tile's edge count by the part inside.

    The integral image is linear between its nodes, so interpolating it is exact.

    Args:
        mask: Tissue mask.
        coords: (N, 2) top-left (x, y), level-0 px.
        side: (width, height) of a tile in level-0 px.

    Returns:
        (N,) float32 in 0..1; what of a tile lies off the mask does not count.
    """
    integral = np.asarray(cv2.integral(np.ascontiguousarray(mask.pixels, np.uint8)), np.int32)
    height, width = mask.pixels.shape
    far_corner = np.array([width, height], np.float64)
    low = np.clip(coords / np.asarray(mask.downsample), 0, far_corner)
    high = np.clip((coords + np.asarray(side)) / np.asarray(mask.downsample), 0, far_corner)
    (left, top), (right, bottom) = low.T, high.T
    tissue = (
        _at(integral, right, bottom)
        - _at(integral, left, bottom)
        - _at(integral, right, top)
        + _at(integral, left, top)
    )
    area = np.maximum((right - left) * (bottom - top), 1e-9)
    return np.asarray(np.clip(tissue / area, 0, 1), np.float32)


def _starts(length: int, side: float, stride: float) -> npt.NDArray[np.int32]:
    """Starts of all tiles that end at or before `length`."""
    count = max(0, int((length - side) // stride) + 2)
    starts = np.floor(np.arange(count) * stride + 0.5)
    return np.asarray(starts[starts + side <= length], np.int32)


def _at(
    integral: npt.NDArray[np.int32], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The integral image between its nodes, bilinearly."""
    column = np.minimum(x.astype(np.int64), integral.shape[1] - 2)
    row = np.minimum(y.astype(np.int64), integral.shape[0] - 2)
    u, v = x - column, y - row
    upper = integral[row, column] * (1 - u) + integral[row, column + 1] * u
    lower = integral[row + 1, column] * (1 - u) + integral[row + 1, column + 1] * u
    return np.asarray(upper * (1 - v) + lower * v, np.float64)
