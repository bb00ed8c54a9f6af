"""The tiles of one slide or patient, as a pooling reads them from the store."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from histo_ray.pooling.class_weights import ClassHead, class_probabilities
from histo_ray.pooling.quantiles import Spread
from histo_ray.pooling.tile_classes import ClassSource, classify_tiles
from histo_ray.store.half_floats import Float32s
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import (
    CountedPartition,
    TilePiece,
    read_pieces,
    read_vectors,
)
from histo_ray.types import Floats


class TileClassifier(NamedTuple):
    """A class head, and where the embeddings lie that it reads."""

    source: ClassSource
    head: ClassHead


class StoredTiles:
    """All tiles of some partitions together, read when they are asked for.

    Reading raises StoreError where a partition cannot be read, or the head's encoder saw other
    tiles.
    """

    def __init__(
        self,
        root: Location,
        partitions: Sequence[CountedPartition],
        classifier: TileClassifier | None = None,
        spread: Spread = map,
    ) -> None:
        """Name the tiles; nothing is read yet.

        Args:
            root: The store.
            partitions: At least one, each with tiles.
            classifier: For poolings that need class probabilities.
            spread: Maps over columns, for poolings that need all tiles.
        """
        self._root = root
        self._partitions = partitions
        self._classifier = classifier
        self._spread = spread

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the head; empty without one."""
        return () if self._classifier is None else self._classifier.head.classes

    @property
    def class_encoder(self) -> str:
        """Encoder whose head it is; empty without one."""
        return "" if self._classifier is None else self._classifier.source.encoder

    @property
    def spread(self) -> Spread:
        """Maps over cuts of columns."""
        return self._spread

    def read_pieces(self) -> Iterator[TilePiece]:
        """All tiles; memory holds a block of rows and a piece."""
        for partition in self._partitions:
            yield from read_pieces(self._root, partition)

    def read_classified(self) -> Iterator[tuple[TilePiece, Float32s]]:
        """All tiles with their class probabilities, (K, n)."""
        if self._classifier is None:
            raise ValueError("class probabilities are read without a class head")
        source, head = self._classifier
        for partition in self._partitions:
            if source.is_of(partition.key):
                for piece in read_pieces(self._root, partition):
                    yield piece, class_probabilities(head, piece.vectors)
                continue
            other = classify_tiles(self._root, source.partitions[partition.key.slide_id], head)
            for piece in read_pieces(self._root, partition):
                yield piece, other.take(piece, partition.key)

    def read_bags(self) -> list[Floats]:
        """All embeddings, (N, D) a partition, as they are stored."""
        return [read_vectors(self._root, partition) for partition in self._partitions]
