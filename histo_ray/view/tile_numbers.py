"""Numbers and classes of a slide's tiles: what a source of overlays gives, and the protocol."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from histo_ray.view.viewed_store import ViewedSlide


@dataclass(frozen=True)
class TileNumbers:
    """One number, or class, of each tile."""

    values: npt.NDArray[np.float64]
    """(N,); NaN where a tile has none; numbers of classes, 0..K-1, where there are classes."""
    note: str = ""
    """What the numbers are, in a sentence."""
    neutral: float | None = None
    """Value in the middle of the colours; None: colours go from low to high."""
    classes: tuple[str, ...] = ()
    """(K,) names; empty for numbers."""


class OverlaySource(Protocol):
    """One kind of numbers that slides can have."""

    def names(self, slide: ViewedSlide) -> list[str]:
        """What there is of a slide, by the names that are shown; reads no vectors."""

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Read or compute one of `names`.

        Raises:
            StoreError: It cannot be read.
        """


def as_classes(texts: npt.NDArray[np.str_], note: str = "") -> TileNumbers:
    """Number (N,) texts as classes, in the order of their names."""
    names, numbers = np.unique(texts, return_inverse=True)
    return TileNumbers(numbers.astype(np.float64), note, classes=tuple(names.tolist()))
