"""Nearest neighbours among tiles."""

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.neighbors import NearestNeighbors

from histo_ray.learn.heads.base import ClassNumbers, Features, TileHead, score_standardised


def score_knn(
    train: Features, labels: ClassNumbers, test: Features, choices: Sequence[float], n_classes: int
) -> Iterator[Features]:
    """Yield shares of votes of the nearest by Euclidean distance; one search serves all choices.

    Args:
        train: (n, D) standardised.
        labels: (n,) class.
        test: (m, D) likewise.
        choices: Numbers of neighbours, the largest first.
        n_classes: K.
    """
    most = min(int(max(choices)), len(train))
    nearest = NearestNeighbors(n_neighbors=most, algorithm="brute").fit(train)
    votes = np.asarray(labels)[nearest.kneighbors(test, return_distance=False)]
    chosen = np.eye(n_classes, dtype=np.float32)[votes].cumsum(1)  # (N, most, K)
    for choice in choices:
        count = min(int(choice), most)
        yield chosen[:, count - 1] / np.float32(count)


HEAD = TileHead((41, 21, 11, 5, 1), score_standardised(score_knn))
