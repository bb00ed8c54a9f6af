"""Pooling `class:NAME[,NAME...]`: the mean of tiles, weighted by the probability of classes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.class_weights import LEAST_CLASS_TILES, choose_classes
from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece
from histo_ray.store.half_floats import Float32s
from histo_ray.store.partition_vectors import TilePiece

_PREFIX = "class:"


class ClassMeanPooling(PoolingMethod):
    """Mean weighted by the probability that a tile is of some classes."""

    usage = f"{_PREFIX}NAME[,NAME...]"
    needs_head = True

    def __init__(self, classes: Iterable[str]) -> None:
        self.classes = tuple(sorted(set(classes)))
        """Classes whose probabilities are added up."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `class:TUM` or `class:TUM,STR`; the order of classes is of no concern."""
        if not text.startswith(_PREFIX):
            return None
        names = {name.strip() for name in text.removeprefix(_PREFIX).split(",")}
        return None if "" in names else cls(names)

    @property
    def name(self) -> str:
        """`class:` and the classes, sorted."""
        return _PREFIX + ",".join(self.classes)

    def check_classes(self, classes: Sequence[str], encoder: str) -> None:
        """Refuse a head that lacks one of the classes."""
        choose_classes(self.classes, classes, encoder)

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Weighted mean of each column, (D,); nothing for less than half a tile of the classes."""
        sums = merge_sums(
            sum_piece(piece.vectors, weights) for piece, weights in self.weigh_tiles(tiles)
        )
        return Pooled(None if sums.total[0] < LEAST_CLASS_TILES else divide_sums(sums)[0])

    def weigh_tiles(self, tiles: GroupTiles) -> Iterator[tuple[TilePiece, Float32s]]:
        """Each tile weighs as much as it is likely to be of the classes."""
        mix = choose_classes(self.classes, tiles.classes, tiles.class_encoder)
        for piece, probabilities in tiles.read_classified():
            yield piece, mix @ probabilities
