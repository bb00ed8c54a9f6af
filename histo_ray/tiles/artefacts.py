"""What artefacts cover of tiles, found on an overview of their slide. Pure."""

import numpy as np
import numpy.typing as npt

from histo_ray.config import TilingConfig
from histo_ray.tiles.folds import find_folds
from histo_ray.tiles.grid import tissue_fraction
from histo_ray.tiles.illumination import optical_density
from histo_ray.tiles.tissue import examine_overview
from histo_ray.types import TissueMask

Floats = npt.NDArray[np.float32]


def measure_artefacts(
    image: npt.NDArray[np.uint8],
    mpp: tuple[float, float],
    downsample: tuple[float, float],
    coords: npt.NDArray[np.int32],
    side: tuple[float, float],
    tiling: TilingConfig,
    slide_id: str = "",
) -> dict[str, Floats]:
    """Measure what pen marks and folds cover of each tile.

    Args:
        image: (h, w, 3) uint8 RGB of the whole slide.
        mpp: (x, y) microns per px of `image`.
        downsample: (x, y) level-0 px per px of `image`.
        coords: (N, 2) top-left (x, y) of the tiles, level-0 px.
        side: (width, height) of a tile, level-0 px.
        tiling: What counts as tissue.
        slide_id: For messages.

    Returns:
        `ink` and `fold`, (N,) each, 0 to 1.

    Raises:
        SlideError: The image is dark-field.
    """
    found = examine_overview(image, mpp, tiling, slide_id)
    folds = find_folds(optical_density(np.ascontiguousarray(image)), mpp, found.pixels & ~found.ink)
    return {
        name: tissue_fraction(TissueMask(mask, downsample), coords, side)
        for name, mask in (("ink", found.ink), ("fold", folds))
    }
