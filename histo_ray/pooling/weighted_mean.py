"""Weighted means of many tiles, piece by piece. Pure.

Sums are einsum's: BLAS would start threads of its own in each thread that pools.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.store.half_floats import Float32s


@dataclass(frozen=True)
class WeightedSums:
    """Sums of J weights and of the vectors that they weigh, float64."""

    total: npt.NDArray[np.float64]
    """(J,)."""
    sums: npt.NDArray[np.float64]
    """(J, D)."""


def sum_piece(vectors: Float32s, weights: Float32s) -> WeightedSums:
    """Sum the vectors of one piece, once for each row of weights.

    Args:
        vectors: (n, D); n small, as the sums are made in float32.
        weights: (J, n).
    """
    with np.errstate(invalid="ignore"):  # vectors that are not finite stay so
        sums = np.einsum("jn,nd->jd", weights, vectors)
    return WeightedSums(weights.sum(axis=1, dtype=np.float64), sums.astype(np.float64))


def merge_sums(parts: Iterable[WeightedSums]) -> WeightedSums:
    """Add up the sums of all pieces."""
    total: npt.NDArray[np.float64] | None = None
    for part in parts:
        if total is None:
            total, sums = part.total.copy(), part.sums.copy()
            continue
        total += part.total
        sums += part.sums
    if total is None:
        raise ValueError("no piece to be summed")
    return WeightedSums(total, sums)


def divide_sums(weighted: WeightedSums) -> Float32s:
    """Weighted means, (J, D); rows without any weight are nan."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(
            weighted.total[:, None] > 0, weighted.sums / weighted.total[:, None], np.nan
        )
    return means.astype(np.float32)
