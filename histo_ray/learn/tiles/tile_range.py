"""How far tiles lie from those that a predictor was trained on. Pure.

The distance of a tile is the root mean square of its features' z-scores about the training tiles:
Mahalanobis' distance with a diagonal covariance, over the square root of the dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SHARE_OUTSIDE = 0.01
"""Share of the training tiles that lie beyond the limit."""
_ROWS = 1024
"""Tiles widened at once."""


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
        found = np.empty(len(tiles))
        varying = max(1, int((self.scale > 0).sum()))
        for at in range(0, len(tiles), _ROWS):
            scores = (tiles[at : at + _ROWS].astype(np.float64) - self.mean) * self.scale
            found[at : at + _ROWS] = np.sqrt(np.einsum("ij,ij->i", scores, scores) / varying)
        return found

    def share_outside(self, tiles: npt.NDArray[np.floating]) -> float:
        """Share of (N, D) tiles that lie beyond the limit; about 0.01 among the training tiles."""
        return float((self.distances(tiles) > self.limit).mean())


def measure_range(bags: Sequence[npt.NDArray[np.floating]]) -> TileRange:
    """Measure the range of all tiles of some bags together.

    Args:
        bags: P of (N_i, D), finite; draw equally many tiles of each patient, so that each weighs
            the same.
    """
    counts = np.array([len(bag) for bag in bags], np.float64)
    share = counts / counts.sum()
    means = np.stack([bag.mean(0, dtype=np.float64) for bag in bags])
    mean = share @ means
    variance = np.zeros_like(mean)
    for weight, bag in zip(share, bags, strict=True):
        variance += weight * ((bag - mean) ** 2).mean(0)
    sd = np.sqrt(variance)
    scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6 * np.abs(mean))
    found = TileRange(mean, scale, np.inf)
    distances = np.concatenate([found.distances(bag) for bag in bags])
    return replace(found, limit=float(np.quantile(distances, 1 - SHARE_OUTSIDE)))
