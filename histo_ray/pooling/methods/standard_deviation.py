"""Poolings `std` and `mean+std`: how much the tiles of a slide or patient differ."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.leave_one_out import means_without_each, stds_without_each
from histo_ray.pooling.moments import TileMoments, measure_block, merge_moments


class StdPooling(PoolingMethod):
    """Standard deviation of the tiles (ddof 0)."""

    usage = "std"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Standard deviation of each column, (D,)."""
        return Pooled(measure_group(tiles).std.astype(np.float32))

    def pool_without_each(
        self, columns: npt.NDArray[np.float64]
    ) -> Sequence[npt.NDArray[np.float64]]:
        """Standard deviations of all tiles but one."""
        return (stds_without_each(columns),)


class MeanStdPooling(PoolingMethod):
    """Mean and standard deviation, side by side."""

    usage = "mean+std"

    def width(self, dim: int, classes: int) -> int:
        """Two numbers a column."""
        return 2 * dim

    def pool(self, tiles: GroupTiles) -> Pooled:
        """All means, then all standard deviations, (2 D,)."""
        moments = measure_group(tiles)
        return Pooled(np.concatenate([moments.mean, moments.std]).astype(np.float32))

    def pool_without_each(
        self, columns: npt.NDArray[np.float64]
    ) -> Sequence[npt.NDArray[np.float64]]:
        """Means and standard deviations of all tiles but one."""
        return means_without_each(columns), stds_without_each(columns)


def measure_group(tiles: GroupTiles) -> TileMoments:
    """Moments of all tiles of a slide or patient."""
    return merge_moments(measure_block(piece.vectors) for piece in tiles.read_pieces())
