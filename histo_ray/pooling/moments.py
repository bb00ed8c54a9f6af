"""Moments of many tiles, block by block. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.store.half_floats import Float32s, cut_pieces, widen
from histo_ray.types import Floats


@dataclass(frozen=True)
class TileMoments:
    """Count, mean, sum of squared deviations and maximum of some vectors, each (D,) float64."""

    count: int
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    highest: npt.NDArray[np.float64]

    @property
    def std(self) -> npt.NDArray[np.float64]:
        """Standard deviation with ddof 0, (D,)."""
        deviation: npt.NDArray[np.float64] = np.sqrt(self.squares / self.count)
        return deviation


def measure_block(vectors: Floats) -> TileMoments:
    """Measure (N, D) vectors, N > 0."""
    count, dim = vectors.shape
    return merge_moments(_measure_piece(widen(vectors[cut])) for cut in cut_pieces(count, dim))


def _measure_piece(vectors: Float32s) -> TileMoments:
    """Measure about a rounded mean, then correct for it: Chan, Golub and LeVeque (1983)."""
    count = len(vectors)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite stays so
        centre = vectors.mean(axis=0)
        from_centre = vectors - centre
        off = from_centre.sum(axis=0).astype(np.float64) / count
        squares = np.einsum("ij,ij->j", from_centre, from_centre).astype(np.float64)
        squares = np.maximum(squares - count * np.square(off), 0)
    return TileMoments(count, centre + off, squares, vectors.max(axis=0).astype(np.float64))


def merge_moments(parts: Iterable[TileMoments]) -> TileMoments:
    """Merge moments into those of all vectors together.

    The update is Chan, Golub and LeVeque (1979), which stays exact where sums of squares do not.
    """
    merged: TileMoments | None = None
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
        merged = TileMoments(count, mean, merged.squares + part.squares + shift, highest)
    if merged is None:
        raise ValueError("moments of no block")
    return merged
