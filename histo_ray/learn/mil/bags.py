"""Bags of tile vectors, checked and measured once, however often heads are trained on them. Pure.

Sums about a bag's own mean add up over any choice of bags, so a training part is standardised
without reading its tiles again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError

Vectors = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]

_VALUES = 1 << 22
"""Values taken to float64 at once."""


@dataclass(frozen=True)
class Bags:
    """All tiles of each patient, as one encoder embeds them."""

    vectors: tuple[Vectors, ...]
    """n of (N_i, D), any float type; N_i above 0, finite."""
    counts: npt.NDArray[np.int64]
    """(n,) tiles."""
    means: Floats
    """(n, D) of the tiles of a bag."""
    squares: Floats
    """(n, D) sum of the tiles' squared distances to that mean."""
    groups: npt.NDArray[np.intp] | None = None
    """(n,) what stays together when some are held out, as a site; None: each is on its own."""

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors."""
        return sum(bag.nbytes for bag in self.vectors)

    @property
    def dim(self) -> int:
        """D."""
        return int(self.means.shape[1])

    def take(self, rows: npt.NDArray[np.integer]) -> "Bags":
        """Take some bags; nothing is copied but what was measured."""
        vectors = tuple(self.vectors[row] for row in rows)
        groups = None if self.groups is None else self.groups[rows]
        return Bags(vectors, self.counts[rows], self.means[rows], self.squares[rows], groups)

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and sd over all tiles of all bags.

        Chan, Golub and LeVeque 1979, Updating formulae for computing sample variances.

        Returns:
            (D,) and (D,).
        """
        share = self.counts / self.counts.sum()
        mean = share @ self.means
        squares = self.squares.sum(0) + self.counts @ (self.means - mean) ** 2
        return mean, np.sqrt(squares / self.counts.sum())


def measure_bags(vectors: Sequence[Vectors], groups: Sequence[str] | None = None) -> Bags:
    """Check bags and sum up what standardises them, in float64 and block by block.

    Args:
        vectors: n of (N_i, D), one a patient: the tiles of all slides together.
        groups: (n,) what stays together when some are held out, as a site.

    Raises:
        ConfigError: No bag, an empty one, one of another width, or one that is not finite.
    """
    if not vectors:
        raise ConfigError("bags: there are none; check that the encoder has features")
    dim = vectors[0].shape[-1]
    means, squares = np.empty((len(vectors), dim)), np.empty((len(vectors), dim))
    for number, bag in enumerate(vectors):
        if bag.ndim != 2 or bag.shape[1] != dim or not bag.size:
            raise ConfigError(
                f"bag {number}: shape {bag.shape}, must be (tiles, {dim}) with 1 tile or more; "
                "leave out patients without tiles, and use one encoder"
            )
        means[number], squares[number] = _measure(bag)
        if not np.isfinite(squares[number]).all():
            raise ConfigError(
                f"bag {number}: some of its vectors have nan or infinity; "
                "extract its slides again, or leave the patient out"
            )
    counts = np.array([len(bag) for bag in vectors], np.int64)
    numbers = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    return Bags(tuple(vectors), counts, means, squares, numbers)


def _measure(bag: Vectors) -> tuple[Floats, Floats]:
    """Mean, and sum of squared distances to it, of each column."""
    rows = max(1, _VALUES // bag.shape[1])
    blocks = range(0, len(bag), rows)
    with np.errstate(invalid="ignore"):  # the caller looks for nan
        mean = sum(bag[at : at + rows].sum(0, dtype=np.float64) for at in blocks) / len(bag)
        squares = sum(((bag[at : at + rows] - mean) ** 2).sum(0) for at in blocks)
    return np.asarray(mean), np.asarray(squares)
