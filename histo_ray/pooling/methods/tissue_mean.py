"""Pooling `tissue`: the mean of tiles, weighted by how much of each is tissue."""

import math
from collections.abc import Iterator

from histo_ray.errors import StoreError
from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece
from histo_ray.store.half_floats import Float32s
from histo_ray.store.partition_vectors import TilePiece


class TissueMeanPooling(PoolingMethod):
    """Mean weighted by each tile's tissue fraction."""

    usage = "tissue"

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Weighted mean of each column, (D,); nothing if no tile holds tissue.

        Raises:
            StoreError: Nobody measured the tissue of a tile, as of most imported ones.
        """
        sums = merge_sums(
            sum_piece(piece.vectors, tissue) for piece, tissue in self.weigh_tiles(tiles)
        )
        if math.isnan(sums.total[0]):
            raise StoreError(
                "pooling tissue weighs tiles by their tissue, and that of imported tiles was not "
                "measured; take another pooling, such as mean"
            )
        return Pooled(None if sums.total[0] <= 0 else divide_sums(sums)[0])

    def weigh_tiles(self, tiles: GroupTiles) -> Iterator[tuple[TilePiece, Float32s]]:
        """Each tile weighs as much as it holds tissue."""
        for piece in tiles.read_pieces():
            yield piece, piece.tissue[None]
