"""How far tiles lie from those that a predictor was trained on. Pure.

The distance of a tile is the root mean square of its features' z-scores about the training tiles:
Mahalanobis' distance with a diagonal covariance, over the square root of the dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SHARE_OUTSIDE = 0.01
"""Share of the training tiles that lie beyond the limit."""


@dataclass(frozen=True)
class TileRange:
    """Where the tiles of the training patients lie."""

    mean: Floats
    """(D,)."""
    scale: Floats
    """(D,) 1 / sd; 0 for a feature that is constant."""
    limit: float
    """Distance beyond which `SHARE_OUTSIDE` of the training tiles lie."""

    def distances(self, tiles: npt.NDArray[np.floating]) -> Floats:
        """Distance of each of (N, D) tiles, (N,); about 1 among the training tiles."""
        raise NotImplementedError

    def share_outside(self, tiles: npt.NDArray[np.floating]) -> float:
        """Share of (N, D) tiles that lie beyond the limit; about 0.01 among the training tiles."""
        raise NotImplementedError


def measure_range(bags: Sequence[npt.NDArray[np.floating]]) -> TileRange:
    """Measure the range of some bags of tiles, each patient weighing the same.

    Args:
        bags: P of (N_i, D).
    """
    raise NotImplementedError
