"""The most similar vectors by cosine. Pure: numpy in, numpy out."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.store.half_floats import Float32s, widen
from histo_ray.types import Floats


class Nearest(NamedTuple):
    """Some rows, the most similar first."""

    rows: npt.NDArray[np.int64]
    """(k,)"""
    similarity: Float32s
    """(k,) cosine, -1..1."""


NONE = Nearest(np.empty(0, np.int64), np.empty(0, np.float32))


def to_units(vectors: Floats) -> Float32s:
    """Vectors of length 1, (N, D); of zeros those that are zero or not finite.

    These are like no vector: their cosine with any is 0.
    """
    values = widen(vectors).copy() if vectors.dtype == np.float32 else widen(vectors)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
        usable = np.isfinite(lengths) & (lengths > 0)
        values /= np.where(usable, lengths, 1).astype(np.float32)[:, None]
    values[~usable] = 0
    return values


def find_nearest(query: Float32s, vectors: Floats, k: int, first: int = 0) -> Nearest:
    """The `k` rows most similar to a vector.

    Args:
        query: (D,) of length 1.
        vectors: (N, D) of any length.
        k: How many at most.
        first: Number of the first row.
    """
    if not len(vectors):
        return NONE
    similarity = to_units(vectors) @ query
    best = np.argpartition(-similarity, min(k, len(similarity)) - 1)[:k]
    return merge([Nearest(best.astype(np.int64) + first, similarity[best])], k)


def merge(found: list[Nearest], k: int) -> Nearest:
    """The best `k` of several; of rows that are alike, those of lower numbers first."""
    rows = np.concatenate([NONE.rows, *(one.rows for one in found)])
    similarity = np.concatenate([NONE.similarity, *(one.similarity for one in found)])
    order = np.lexsort((rows, -similarity))[:k]
    return Nearest(rows[order], similarity[order])
