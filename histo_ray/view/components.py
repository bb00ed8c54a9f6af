"""Principal components of a slide's embeddings. Pure."""

import numpy as np
import numpy.typing as npt

from histo_ray.store.half_floats import cut_pieces, widen
from histo_ray.types import Floats

FITTED_ON = 20_000
"""Tiles that components are fitted on, drawn with seed 0; all where there are fewer."""


def project_tiles(vectors: Floats, count: int) -> npt.NDArray[np.float64]:
    """Scores of tiles on the first principal components, of unit variance each.

    Components are eigenvectors of the covariance of the tiles that they are fitted on (Jolliffe
    2002, Principal Component Analysis, ch. 3); the sign makes the largest loading positive.

    Args:
        vectors: (N, D) as stored.
        count: How many components, at most D.

    Returns:
        (N, count); NaN for tiles with numbers that are not finite.
    """
    finite = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    scores = np.full((len(vectors), count), np.nan)
    if len(finite) < 2:
        return scores
    some = finite
    if len(finite) > FITTED_ON:
        some = np.sort(np.random.default_rng(0).choice(finite, FITTED_ON, replace=False))
    sample = widen(vectors[some])
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    sample = sample - mean
    covariance = (sample.T @ sample) / len(sample)
    spread, axes = np.linalg.eigh(covariance.astype(np.float64))
    axes = axes[:, ::-1][:, :count]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    axes /= np.sqrt(np.maximum(spread[::-1][:count], 1e-12))
    for piece in cut_pieces(len(finite), vectors.shape[1]):
        rows = finite[piece]
        scores[rows, : axes.shape[1]] = (widen(vectors[rows]) - mean) @ axes
    return scores
