"""What a pooling is: one vector from all tiles of a slide or patient."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from histo_ray.pooling.quantiles import Spread
from histo_ray.store.half_floats import Float32s
from histo_ray.store.partition_vectors import TilePiece
from histo_ray.types import Floats


class Pooled(NamedTuple):
    """The pooled vector of one slide or patient."""

    vector: Float32s | None
    """None if its tiles have no weight."""
    absent: tuple[str, ...] = ()
    """Classes of which it has no tile, so that the mean of all its tiles stands for theirs."""


class GroupTiles(Protocol):
    """All tiles of one slide or patient; each method reads them anew."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the head; empty where the pooling needs none."""

    @property
    def class_encoder(self) -> str:
        """Encoder whose head it is, for messages."""

    @property
    def spread(self) -> Spread:
        """Maps over cuts of columns, perhaps several at once."""

    def read_pieces(self) -> Iterator[TilePiece]:
        """All tiles; memory holds a block of rows and a piece."""

    def read_classified(self) -> Iterator[tuple[TilePiece, Float32s]]:
        """All tiles with their class probabilities, (K, n)."""

    def read_bags(self) -> list[Floats]:
        """All embeddings, (N, D) a slide, as they are stored."""


class PoolingMethod(ABC):
    """A pooling: many tiles to one vector. Two poolings are equal if their names are."""

    usage: ClassVar[str]
    """How it is asked for: its name, or a pattern such as `class:NAME[,NAME...]`."""
    needs_head: ClassVar[bool] = False
    """Whether it needs the class probabilities of tiles."""
    needs_all_tiles: ClassVar[bool] = False
    """Whether it holds all tiles of a slide or patient at once."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what a user asked for; None if another pooling is meant."""
        return cls() if text == cls.usage else None

    @property
    def name(self) -> str:
        """Its name, which `parse` reads and cached tables state."""
        return self.usage

    def width(self, dim: int, classes: int) -> int:
        """Length of the pooled vector.

        Args:
            dim: Length of a tile's vector.
            classes: Number of classes of the head; 0 without one.
        """
        return dim

    def check_classes(  # noqa: B027 - most poolings take any head
        self, classes: Sequence[str], encoder: str
    ) -> None:
        """Refuse a head that does not serve, before anything is pooled.

        Raises:
            ConfigError: It lacks a class that is asked for.
        """

    @abstractmethod
    def pool(self, tiles: GroupTiles) -> Pooled:
        """Pool all tiles of one slide or patient.

        Args:
            tiles: At least one.

        Returns:
            float32 of length `width`; what is not finite in a column of the tiles stays there.
        """

    def weigh_tiles(self, tiles: GroupTiles) -> Iterator[tuple[TilePiece, Float32s]] | None:
        """Yield all tiles with their weights, (J, n), if the pooled vector is J weighted means.

        What a linear head says of such a vector is shared out among the tiles exactly.

        Returns:
            None where the pooling is no weighted mean.
        """
        return None

    def settle_weights(self, weights: Float32s) -> Float32s:
        """Weights of all tiles, (J, N), as they take effect once all are known."""
        return weights

    def pool_without_each(
        self, columns: npt.NDArray[np.float64]
    ) -> Sequence[npt.NDArray[np.float64]]:
        """Pool all tiles but one, for each of them, where the pooling is no weighted mean.

        Args:
            columns: (N, d) some columns of all tiles, N > 1.

        Returns:
            What `pool` puts side by side, each (N, d); empty if it cannot be said.
        """
        return ()

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PoolingMethod) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)
