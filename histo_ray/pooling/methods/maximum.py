"""Pooling `max`: the largest value of each column."""

import numpy as np

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.methods.standard_deviation import measure_group


class MaxPooling(PoolingMethod):
    """Maximum of each column."""

    usage = "max"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Maximum of each column, (D,)."""
        return Pooled(measure_group(tiles).highest.astype(np.float32))
