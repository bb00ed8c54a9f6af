"""Pools the tiles of one group of partitions: a slide's, or all of a patient's."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from histo_ray.pooling.class_weights import (
    LEAST_CLASS_TILES,
    ClassHead,
    average,
    choose_classes,
    class_probabilities,
    merge_weighed,
    weigh_piece,
)
from histo_ray.pooling.methods import Way, measure_block, merge_moments, pool_moments
from histo_ray.pooling.quantiles import Spread, pool_median, pool_quantiles
from histo_ray.pooling.tile_classes import ClassSource, classify_tiles
from histo_ray.store.half_floats import Float32s
from histo_ray.store.partition_vectors import Member, Piece, read_pieces, read_vectors
from histo_ray.store.place import Place

Weigh = Callable[[Piece], Float32s]
"""(J, n) weights of the tiles of a piece."""


class Weigher(NamedTuple):
    """A class head and where the embeddings lie that it reads."""

    source: ClassSource
    head: ClassHead


class Pooled(NamedTuple):
    """What became of one group."""

    vector: Float32s | None
    """None if its tiles have no weight."""
    absent: tuple[str, ...] = ()
    """Classes of which it has no tile, so that the mean of all its tiles stands for theirs."""


def pool_group(
    root: Place,
    members: Sequence[Member],
    way: Way,
    weigher: Weigher | None = None,
    spread: Spread = map,
) -> Pooled:
    """Pool all tiles of some partitions together.

    Memory holds a block of rows, and for `median` and `quantiles` all tiles as they are stored.

    Args:
        root: The store.
        members: At least one, each with tiles.
        way: Of pooling.
        weigher: Where `way` needs a head.
        spread: Maps over columns, where `way` needs all tiles.

    Raises:
        StoreError: A partition cannot be read, or the head's encoder saw other tiles.
        ConfigError: A class that the head does not know.
    """
    if way.needs_all_tiles:
        bags = [read_vectors(root, member) for member in members]
        pool = pool_median if way.kind == "median" else pool_quantiles
        return Pooled(pool(bags, spread=spread))
    if way.kind in ("std", "mean+std", "max"):
        pieces = (piece for member in members for piece in read_pieces(root, member))
        moments = merge_moments(measure_block(piece.vectors) for piece in pieces)
        return Pooled(pool_moments(moments, way.kind))
    weighed = merge_weighed(
        weigh_piece(piece.vectors, weigh(piece))
        for weigh, piece in _weigh_members(root, members, way, weigher)
    )
    means = average(weighed).astype(np.float32)
    if way.kind == "classes" and weigher is not None:
        absent = weighed.total[:-1] < LEAST_CLASS_TILES
        means[:-1][absent] = means[-1]
        names = weigher.head.classes
        missing = tuple(name for name, gone in zip(names, absent, strict=True) if gone)
        return Pooled(means[:-1].reshape(-1), missing)
    least = LEAST_CLASS_TILES if way.kind == "class" else 0.0
    weightless = weighed.total[0] < least or weighed.total[0] <= 0
    return Pooled(None if weightless else means[0])


def _weigh_members(
    root: Place, members: Sequence[Member], way: Way, weigher: Weigher | None
) -> Iterator[tuple[Weigh, Piece]]:
    for member in members:
        weigh = _choose_weights(root, member, way, weigher)
        for piece in read_pieces(root, member):
            yield weigh, piece


def _choose_weights(root: Place, member: Member, way: Way, weigher: Weigher | None) -> Weigh:
    """What weighs the tiles of one partition; for `classes` the last row is that of all tiles."""
    if way.kind == "tissue":
        return lambda piece: piece.tissue[None]
    if weigher is None:
        return lambda piece: np.ones((1, len(piece.coords)), np.float32)
    source, head = weigher
    if way.kind == "class":
        mix = choose_classes(way.classes, head.classes, source.encoder)
    else:
        mix = np.eye(len(head.classes) + 1, len(head.classes), dtype=np.float32)
        mix[-1] = 1  # probabilities sum to 1
    if source.is_of(member.key):
        return lambda piece: mix @ class_probabilities(head, piece.vectors)
    foreign = classify_tiles(root, source.members[member.key.slide_id], head)
    return lambda piece: mix @ foreign.of(piece, member.key)
