"""Pooling `tissue`: the mean of tiles, weighted by how much of each is tissue."""

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece


class TissueMeanPooling(PoolingMethod):
    """Mean weighted by each tile's tissue fraction."""

    usage = "tissue"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Weighted mean of each column, (D,); nothing if no tile holds tissue."""
        sums = merge_sums(
            sum_piece(piece.vectors, piece.tissue[None]) for piece in tiles.read_pieces()
        )
        return Pooled(None if sums.total[0] <= 0 else divide_sums(sums)[0])
