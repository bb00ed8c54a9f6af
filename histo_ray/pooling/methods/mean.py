"""Pooling `mean`: the mean of all tiles."""

from collections.abc import Iterator

import numpy as np

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece
from histo_ray.store.half_floats import Float32s
from histo_ray.store.partition_vectors import TilePiece


class MeanPooling(PoolingMethod):
    """Mean of all tiles."""

    usage = "mean"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Mean of each column, (D,)."""
        sums = merge_sums(sum_piece(piece.vectors, ones) for piece, ones in self.weigh_tiles(tiles))
        return Pooled(divide_sums(sums)[0])

    def weigh_tiles(self, tiles: GroupTiles) -> Iterator[tuple[TilePiece, Float32s]]:
        """All tiles weigh the same."""
        for piece in tiles.read_pieces():
            yield piece, np.ones((1, len(piece.coords)), np.float32)
