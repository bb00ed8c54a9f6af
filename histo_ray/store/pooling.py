"""Many tiles into one vector, block by block. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.types import Floats

Pool = Literal["mean", "std", "mean+std", "max", "median"]

_COLUMNS_AT_ONCE = 64


def check_pool(text: str) -> None:
    """Refuse what is not a way of pooling.

    Raises:
        ConfigError: It is not.
    """
    if text not in get_args(Pool):
        raise ConfigError(f"pool: {text!r}, wanted one of {', '.join(get_args(Pool))}; choose one")


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations and maximum of some vectors, each (D,) float64."""

    count: int
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    highest: npt.NDArray[np.float64]


def measure_block(vectors: Floats) -> Moments:
    """Moments of (N, D) vectors, N > 0."""
    exact = vectors.astype(np.float64)
    mean = exact.mean(axis=0)
    return Moments(len(vectors), mean, np.square(exact - mean).sum(axis=0), exact.max(axis=0))


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
        step = part.mean - merged.mean
        merged = Moments(
            count,
            merged.mean + step * (part.count / count),
            merged.squares + part.squares + step**2 * (merged.count * part.count / count),
            np.maximum(merged.highest, part.highest),
        )
    if merged is None:
        raise ValueError("moments: of nothing, wanted at least one block")
    return merged


def pool_moments(moments: Moments, pool: Pool) -> npt.NDArray[np.float32]:
    """The pooled vector: (D,), or (2 D,) for mean+std. std is that of the tiles (ddof 0)."""
    std = np.sqrt(moments.squares / moments.count)
    pooled = {
        "mean": moments.mean,
        "std": std,
        "mean+std": np.concatenate([moments.mean, std]),
        "max": moments.highest,
    }[pool]
    return pooled.astype(np.float32)


def pool_median(bags: Sequence[Floats]) -> npt.NDArray[np.float32]:
    """The median of all rows of some bags, (D,), a few columns at a time."""
    dim = bags[0].shape[1]
    pooled = np.empty(dim, np.float32)
    for start in range(0, dim, _COLUMNS_AT_ONCE):
        cut = slice(start, start + _COLUMNS_AT_ONCE)
        columns = np.concatenate([bag[:, cut] for bag in bags]).astype(np.float32)
        pooled[cut] = np.median(columns, axis=0)
    return pooled
