"""Pooling `tissue`: the mean of tiles, weighted by how much of each is tissue."""

import math

from histo_ray.errors import StoreError
from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece


class TissueMeanPooling(PoolingMethod):
    """Mean weighted by each tile's tissue fraction."""

    usage = "tissue"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Weighted mean of each column, (D,); nothing if no tile holds tissue.

        Raises:
            StoreError: Nobody measured the tissue of a tile, as of most imported ones.
        """
        sums = merge_sums(
            sum_piece(piece.vectors, piece.tissue[None]) for piece in tiles.read_pieces()
        )
        if math.isnan(sums.total[0]):
            raise StoreError(
                "pooling tissue weighs tiles by their tissue, and that of imported tiles was not "
                "measured; take another pooling, such as mean"
            )
        return Pooled(None if sums.total[0] <= 0 else divide_sums(sums)[0])
