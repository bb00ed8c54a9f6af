"""Artefacts of tiles that an overview of their slide shows. Pure."""

import numpy as np
import numpy.typing as npt

from histo_ray.tiles.folds import DensityMap, measure_folds
from histo_ray.tiles.grid import tissue_fraction
from histo_ray.types import Pyramid, TileGrid, TissueMask

Floats = npt.NDArray[np.float32]


def measure_artefacts(mask: TissueMask, pyramid: Pyramid, grid: TileGrid) -> dict[str, Floats]:
    """Measure pen marks and folds.

    Args:
        mask: What was found on the overview; of a mask that was given nothing is known.
        pyramid: Resolution of the slide.
        grid: N tiles.

    Returns:
        `ink` (N,), part of each tile that pen marks cover, 0 to 1; `fold` (N,), see
        `measure_folds`. Empty without tiles, or where the overview was not looked at.
    """
    if mask.ink is None or mask.density is None or not len(grid):
        return {}
    seen = DensityMap(mask.density, overview_mpp(mask, pyramid), mask.downsample)
    return {
        "ink": tissue_fraction(TissueMask(mask.ink, mask.downsample), grid.coords, grid.side),
        "fold": measure_folds(seen, mask.pixels & ~mask.ink, grid.coords, grid.side),
    }


def overview_mpp(mask: TissueMask, pyramid: Pyramid) -> tuple[float, float]:
    """(x, y) microns per px of the overview that a mask was found on."""
    return (pyramid.mpp.x * mask.downsample[0], pyramid.mpp.y * mask.downsample[1])
