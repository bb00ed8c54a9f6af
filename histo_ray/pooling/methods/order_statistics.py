"""Poolings `median` and `quantiles`, exact; they hold all tiles of a slide or patient at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.leave_one_out import quantiles_without_each
from histo_ray.pooling.quantiles import QUANTILES, pool_median, pool_quantiles


class MedianPooling(PoolingMethod):
    """Median of each column."""

    usage = "median"
    needs_all_tiles = True

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Median of each column, (D,)."""
        return Pooled(pool_median(tiles.read_bags(), spread=tiles.spread))

    def pool_without_each(
        self, columns: npt.NDArray[np.float64]
    ) -> Sequence[npt.NDArray[np.float64]]:
        """Medians of all tiles but one."""
        return quantiles_without_each(columns, (0.5,))


class QuantilePooling(PoolingMethod):
    """10, 50 and 90 % quantiles, side by side."""

    usage = "quantiles"
    needs_all_tiles = True

    def width(self, dim: int, classes: int) -> int:
        """One number a column and quantile."""
        return dim * len(QUANTILES)

    def pool(self, tiles: GroupTiles) -> Pooled:
        """All columns' first quantile, then their second and third, (3 D,)."""
        return Pooled(pool_quantiles(tiles.read_bags(), spread=tiles.spread))

    def pool_without_each(
        self, columns: npt.NDArray[np.float64]
    ) -> Sequence[npt.NDArray[np.float64]]:
        """Quantiles of all tiles but one."""
        return quantiles_without_each(columns, QUANTILES)
