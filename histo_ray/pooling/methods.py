"""Ways of pooling many tiles into one vector, and moments block by block. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.pooling.quantiles import QUANTILES
from histo_ray.store.half_floats import Float32s, cut_pieces, widen
from histo_ray.types import Floats

Pool = str
"""A way of pooling, as `parse_pool` reads it."""

Kind = Literal[
    "mean", "std", "mean+std", "max", "median", "quantiles", "tissue", "class", "classes"
]
_OF_CLASSES = "class:"
_KNOWN = [f"{_OF_CLASSES}NAME[,NAME...]" if kind == "class" else kind for kind in get_args(Kind)]


@dataclass(frozen=True)
class Way:
    """How tiles become one vector."""

    kind: Kind
    classes: tuple[str, ...] = ()
    """Classes whose probabilities are added up for `class`, sorted."""

    def __str__(self) -> str:
        return _OF_CLASSES + ",".join(self.classes) if self.kind == "class" else self.kind

    @property
    def needs_head(self) -> bool:
        """Whether it weighs tiles by a class head."""
        return self.kind in ("class", "classes")

    @property
    def needs_all_tiles(self) -> bool:
        """Whether all tiles of a slide or patient must be there at once."""
        return self.kind in ("median", "quantiles")

    def width(self, dim: int, classes: int) -> int:
        """Length of the pooled vector of tiles of length `dim`, with a head of so many classes."""
        parts = {"mean+std": 2, "quantiles": len(QUANTILES), "classes": classes}
        return dim * parts.get(self.kind, 1)


def parse_pool(text: Pool) -> Way:
    """Read the name of a way of pooling.

    Args:
        text: `mean`, `std` (of the tiles, ddof 0), `mean+std` (side by side), `max`, `median`,
            `quantiles` (10, 50 and 90 %, side by side), `tissue` (mean weighted by each tile's
            tissue fraction), `class:TUM` or `class:TUM,STR` (mean weighted by the probability of
            these classes), `classes` (such a mean for each class, side by side).

    Raises:
        ConfigError: It is none of these.
    """
    if text.startswith(_OF_CLASSES):
        names = {name.strip() for name in text.removeprefix(_OF_CLASSES).split(",")}
        if "" not in names:
            return Way("class", tuple(sorted(names)))
    for kind in get_args(Kind):
        if text == kind != "class":
            return Way(kind)
    raise ConfigError(f"pool={text!r} is unknown; choose one of {', '.join(_KNOWN)}")


def check_pool(text: Pool) -> None:
    """Refuse what is not a way of pooling.

    Raises:
        ConfigError: It is not.
    """
    parse_pool(text)


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations and maximum of some vectors, each (D,) float64."""

    count: int
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    highest: npt.NDArray[np.float64]


def measure_block(vectors: Floats) -> Moments:
    """Moments of (N, D) vectors, N > 0."""
    count, dim = vectors.shape
    return merge_moments(_measure_piece(widen(vectors[cut])) for cut in cut_pieces(count, dim))


def _measure_piece(vectors: Float32s) -> Moments:
    """Moments about a rounded mean, then corrected for it: Chan, Golub and LeVeque (1983)."""
    count = len(vectors)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite stays so
        centre = vectors.mean(axis=0)
        from_centre = vectors - centre
        off = from_centre.sum(axis=0).astype(np.float64) / count
        squares = np.einsum("ij,ij->j", from_centre, from_centre).astype(np.float64)
        squares = np.maximum(squares - count * np.square(off), 0)
    return Moments(count, centre + off, squares, vectors.max(axis=0).astype(np.float64))


def merge_moments(parts: Iterable[Moments]) -> Moments:
    """Moments of all vectors together.

    The update is Chan, Golub and LeVeque (1979), which stays exact where sums of squares do not.
    """
    merged: Moments | None = None
    for part in parts:
        if merged is None:
            merged = part
            continue
        count = merged.count + part.count
        with np.errstate(invalid="ignore"):
            step = part.mean - merged.mean
            mean = merged.mean + step * (part.count / count)
            shift = step**2 * (merged.count * part.count / count)
        highest = np.maximum(merged.highest, part.highest)
        merged = Moments(count, mean, merged.squares + part.squares + shift, highest)
    if merged is None:
        raise ValueError("moments of no block")
    return merged


def pool_moments(moments: Moments, kind: Kind) -> Float32s:
    """The pooled vector: (D,), or (2 D,) for mean+std. std is that of the tiles (ddof 0)."""
    std = np.sqrt(moments.squares / moments.count)
    pooled = {
        "mean": moments.mean,
        "std": std,
        "mean+std": np.concatenate([moments.mean, std]),
        "max": moments.highest,
    }[kind]
    return pooled.astype(np.float32)
