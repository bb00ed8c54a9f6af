"""Pooling `mean`: the mean of all tiles."""

import numpy as np

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece


class MeanPooling(PoolingMethod):
    """Mean of all tiles."""

    usage = "mean"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Mean of each column, (D,)."""
        sums = merge_sums(
            sum_piece(piece.vectors, np.ones((1, len(piece.coords)), np.float32))
            for piece in tiles.read_pieces()
        )
        return Pooled(divide_sums(sums)[0])
