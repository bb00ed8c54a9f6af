"""Pooling `classes`: one mean of tiles a class, weighted by its probability, side by side."""

from collections.abc import Iterator

import numpy as np

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.class_weights import LEAST_CLASS_TILES
from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece
from histo_ray.store.half_floats import Float32s
from histo_ray.store.partition_vectors import TilePiece


class ClassMeansPooling(PoolingMethod):
    """Mean weighted by the probability of each class in turn."""

    usage = "classes"
    needs_head = True

    def width(self, dim: int, classes: int) -> int:
        """One mean a class."""
        return dim * classes

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Weighted mean of each class, (K D,).

        For a class with less than half a tile the mean of all tiles stands in its place.
        """
        count = len(tiles.classes)
        mix = np.eye(count + 1, count, dtype=np.float32)
        mix[-1] = 1  # all tiles: probabilities sum to 1
        sums = merge_sums(
            sum_piece(piece.vectors, mix @ probabilities)
            for piece, probabilities in tiles.read_classified()
        )
        means = divide_sums(sums)
        absent = sums.total[:-1] < LEAST_CLASS_TILES
        means[:-1][absent] = means[-1]
        names = tuple(name for name, gone in zip(tiles.classes, absent, strict=True) if gone)
        return Pooled(means[:-1].reshape(-1), names)

    def weigh_tiles(self, tiles: GroupTiles) -> Iterator[tuple[TilePiece, Float32s]]:
        """For the mean of a class, each tile weighs as much as it is likely to be of it."""
        return tiles.read_classified()

    def settle_weights(self, weights: Float32s) -> Float32s:
        """All tiles weigh the same for a class with less than half a tile."""
        absent = weights.sum(axis=1, dtype=np.float64) < LEAST_CLASS_TILES
        return np.where(absent[:, None], np.float32(1), weights)
