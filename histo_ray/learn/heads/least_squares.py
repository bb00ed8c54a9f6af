"""Least squares on one-hot classes, all folds and penalties from moments that are summed once.

The cheap head for many tiles: one pass over the data serves a whole repeat, for the moments of a
training part are the sum of those of its folds, and so is what standardises it. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import linalg

from histo_ray.learn.heads.base import (
    EmbeddedTiles,
    Features,
    FoldIds,
    ScoreTiles,
    TileHead,
    TileWeights,
)

Floats = npt.NDArray[np.float64]

_ROWS = 4096
"""Rows multiplied at once in float32; sums between them are float64."""


@dataclass(frozen=True)
class Moments:
    """Sums over some rows; those of two disjoint parts add up.

    Products are kept about the rows' own mean, and parts joined as by Chan, Golub and LeVeque 1979
    (Updating formulae for computing sample variances), so nothing is lost to cancellation.
    """

    counts: Floats
    """(K,) rows of each class."""
    sums: Floats
    """(K, D) of the features by class."""
    squares: Floats
    """(D, D) of the products of their distances to the mean."""

    @property
    def mean(self) -> Floats:
        """(D,) of the features."""
        return np.asarray(self.sums.sum(0) / self.counts.sum())

    def __add__(self, other: Self) -> "Moments":
        one, two = self.counts.sum(), other.counts.sum()
        apart = self.mean - other.mean
        return Moments(
            self.counts + other.counts,
            self.sums + other.sums,
            self.squares + other.squares + one * two / (one + two) * np.outer(apart, apart),
        )


@dataclass(frozen=True)
class LinearHead:
    """Scores of classes as a linear function of raw features."""

    weights: npt.NDArray[np.float32]
    """(D, K)."""
    bias: npt.NDArray[np.float32]
    """(K,)."""

    def score(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(N, K) scores."""
        return np.asarray(features.astype(np.float32) @ self.weights + self.bias, np.float32)


def sum_moments(
    features: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], n_classes: int
) -> Moments:
    """Moments of some rows.

    Args:
        features: (N, D), any float type.
        labels: (N,) class, 0..n_classes-1.
        n_classes: K.
    """
    dim = features.shape[1]
    mean = features.mean(0, dtype=np.float64)
    sums, squares = np.zeros((n_classes, dim)), np.zeros((dim, dim))
    for start in range(0, len(features), _ROWS):
        block = (features[start : start + _ROWS] - mean).astype(np.float32)
        chosen = np.eye(n_classes, dtype=np.float32)[labels[start : start + _ROWS]]
        sums += chosen.T @ block
        squares += block.T @ block
    counts = np.bincount(labels, minlength=n_classes).astype(np.float64)
    return Moments(counts, sums + np.outer(counts, mean), squares)


def add_moments(parts: Sequence[Moments]) -> Moments:
    """Moments of several disjoint parts together."""
    return reduce(Moments.__add__, parts)


def solve_least_squares(moments: Moments, penalty: float) -> LinearHead:
    """Ridge regression of one-hot classes on standardised features, with an intercept.

    B = (Z'Z + penalty * n * I)^-1 Z'Y with Z standardised over these very rows: Hoerl and Kennard
    1970, Technometrics 12:55; as a classifier: Hastie, Tibshirani and Friedman, The Elements of
    Statistical Learning, section 4.2. A feature without variance gets no weight.

    Args:
        moments: Of the rows to train on.
        penalty: As a share of the rows, above 0.

    Returns:
        A head for raw features.
    """
    count, mean = moments.counts.sum(), moments.mean
    sd = np.sqrt(np.diag(moments.squares) / count)
    scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6 * np.abs(mean))
    squares = moments.squares * scale * scale[:, None]
    squares[np.diag_indices_from(squares)] += penalty * count
    products = (moments.sums - np.outer(moments.counts, mean)).T * scale[:, None]
    weights = linalg.solve(squares, products, assume_a="pos", overwrite_a=True) * scale[:, None]
    bias = moments.counts / count - mean @ weights
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32))


def start_least_squares(tiles: EmbeddedTiles, fold_ids: FoldIds) -> ScoreTiles:
    """Sum up each fold once; training parts are then put together from sums.

    Args:
        tiles: All rows.
        fold_ids: (N,) fold of each row.
    """
    moments = [
        sum_moments(tiles.embeddings[rows], tiles.labels[rows], tiles.n_classes)
        for rows in (np.flatnonzero(fold_ids == fold) for fold in range(int(fold_ids.max()) + 1))
    ]

    def score(
        trained: Sequence[int], scored: npt.NDArray[np.floating], choices: Sequence[float]
    ) -> Iterable[Features]:
        total = add_moments([moments[fold] for fold in trained])
        return (solve_least_squares(total, choice).score(scored) for choice in choices)

    return score


def fit_least_squares(tiles: EmbeddedTiles, choice: float) -> TileWeights:
    """Train on all tiles; weights are those of raw embeddings."""
    head = solve_least_squares(sum_moments(tiles.embeddings, tiles.labels, tiles.n_classes), choice)
    dim = tiles.embeddings.shape[1]
    return TileWeights(np.zeros(dim), np.ones(dim), head.weights, head.bias)


HEAD = TileHead((1.0, 1e-1, 1e-2, 1e-3, 1e-4), start_least_squares, fit_least_squares)
