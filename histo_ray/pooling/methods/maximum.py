"""Pooling `max`: the largest value of each column."""

import numpy as np

from histo_ray.pooling.methods.standard_deviation import measure_group
from histo_ray.pooling.pooling_method import GroupTiles, Pooled, PoolingMethod


class MaxPooling(PoolingMethod):
    """Maximum of each column."""

    usage = "max"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Maximum of each column, (D,)."""
        return Pooled(measure_group(tiles).highest.astype(np.float32))
