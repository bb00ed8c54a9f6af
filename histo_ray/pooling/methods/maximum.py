"""Pooling `max`: the largest value of each column."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.leave_one_out import maxima_without_each
from histo_ray.pooling.methods.standard_deviation import measure_group


class MaxPooling(PoolingMethod):
    """Maximum of each column."""

    usage = "max"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Maximum of each column, (D,)."""
        return Pooled(measure_group(tiles).highest.astype(np.float32))

    def pool_without_each(
        self, columns: npt.NDArray[np.float64]
    ) -> Sequence[npt.NDArray[np.float64]]:
        """Maxima of all tiles but one."""
        return (maxima_without_each(columns),)
