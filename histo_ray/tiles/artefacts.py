"""Artefacts of tiles that an overview of their slide shows. Pure."""

import numpy as np
import numpy.typing as npt

from histo_ray.tiles.folds import measure_folds
from histo_ray.tiles.grid import tissue_fraction
from histo_ray.types import TissueMask

Floats = npt.NDArray[np.float32]


def measure_artefacts(
    mask: TissueMask,
    mpp: tuple[float, float],
    coords: npt.NDArray[np.int32],
    side: tuple[float, float],
) -> dict[str, Floats]:
    """Measure pen marks and folds.

    Args:
        mask: What was found on the overview; of a mask that was given nothing is known.
        mpp: (x, y) microns per level-0 px.
        coords: (N, 2) top-left (x, y) of the tiles, level-0 px.
        side: (width, height) of a tile, level-0 px.

    Returns:
        `ink` (N,), part of each tile that pen marks cover, 0 to 1; `fold` (N,), see
        `measure_folds`. Empty where the overview was not looked at.
    """
    if mask.ink is None or mask.density is None:
        return {}
    scale = (mpp[0] * mask.downsample[0], mpp[1] * mask.downsample[1])
    tissue = mask.pixels & ~mask.ink
    return {
        "ink": tissue_fraction(TissueMask(mask.ink, mask.downsample), coords, side),
        "fold": measure_folds(mask.density, scale, tissue, mask.downsample, coords, side),
    }
