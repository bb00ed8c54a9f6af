"""Heads of tiles and of patients' vectors (those of bags: `learn.mil`). Each module has one `HEAD`.

A head sees the labels of the rows that it is trained on, and no others: what it returns for the
rows of a test part depends on their features and on the training part alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.fold_data import Floats, FoldData, FoldPrediction
from histo_ray.learn.heads.linear_fit import HeadWeights, Link

Features = npt.NDArray[np.float32]
ClassNumbers = npt.NDArray[np.integer]
FoldIds = npt.NDArray[np.integer]


@dataclass(frozen=True)
class EmbeddedTiles:
    """Labelled tiles as one encoder embeds them."""

    embeddings: npt.NDArray[np.floating]
    """(N, D), finite."""
    labels: npt.NDArray[np.int32]
    """(N,) class, 0..n_classes-1."""
    n_classes: int


ScoreTiles = Callable[
    [Sequence[int], npt.NDArray[np.floating], Sequence[float]], Iterable[Features]
]
"""(folds to train on, (M, D) embeddings, choices) -> (M, K) scores of the classes for each choice,
in order. A class that the training part lacks is never the highest."""


class TileWeights(NamedTuple):
    """What a linear head of tiles is after training, for embeddings (x - mean) * scale."""

    mean: npt.NDArray[np.floating]
    """(D,)."""
    scale: npt.NDArray[np.floating]
    """(D,)."""
    weights: npt.NDArray[np.floating]
    """(D, K)."""
    bias: npt.NDArray[np.floating]
    """(K,)."""


class TileHead(NamedTuple):
    """A head that tells classes of tiles apart."""

    choices: tuple[float, ...]
    """Penalties, or neighbours, that it chooses from: the most regular first."""
    start: Callable[[EmbeddedTiles, FoldIds], ScoreTiles]
    """From all tiles and the (N,) fold of each, make what trains and scores; what the folds of a
    repeat can share is computed here."""
    fit: Callable[[EmbeddedTiles, float], TileWeights] | None = None
    """Train on all tiles, of every class some, with one of the choices, and return what was
    trained. None: the head is not linear, so it is evaluated but cannot be kept as a predictor."""
    link: Link = Link.IDENTITY
    """From decision values to scores, where there is a `fit`."""


class PatientHead(NamedTuple):
    """A head that predicts targets of patients from one vector each."""

    predict: Callable[[FoldData], FoldPrediction]
    """Choose by inner folds of the training part, train on all of it, predict the test part."""
    choices: tuple[float, ...]
    """Used unless settings name others."""
    choices_are: str
    """What `choices` mean."""
    fit: Callable[[FoldData], HeadWeights] | None = None
    """Choose and train as `predict` does, and return what was trained; `test` is not looked at.
    None: the head is not linear, so it is evaluated but cannot be kept as a predictor."""
    link: Link = Link.IDENTITY
    """From decision values to predictions, where there is a `fit`."""
    predict_beyond: Callable[[FoldData, Floats, Floats], FoldPrediction] | None = None
    """(fold, known log-odds of (n, T) trained rows, of (m, T) tested ones) -> log-odds of the test
    part, the known ones included; for classes. None: the head takes no offset."""
    joint: bool = False
    """Whether targets are fitted together, so that each depends on which others there are."""


def standardise(train: Features, test: Features) -> tuple[Features, Features]:
    """Standardise both parts by mean and sd of `train`; a feature that is constant there becomes 0.

    Args:
        train: (n, D).
        test: (m, D).
    """
    mean, scale = measure_tiles(train)
    return (train - mean) * scale, (test - mean) * scale


def measure_tiles(train: Features) -> tuple[Features, Features]:
    """Mean and 1 / sd of (n, D) features, each (D,); 0 for a feature that is constant."""
    mean = train.mean(0, dtype=np.float64).astype(np.float32)
    sd = train.std(0, dtype=np.float64).astype(np.float32)
    return mean, np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6 * np.abs(mean))


def fit_standardised(
    train: Callable[[Features, ClassNumbers, float], tuple[Features, Features]],
) -> Callable[[EmbeddedTiles, float], TileWeights]:
    """Make the `fit` of a head that is trained on standardised features.

    Args:
        train: (features, classes, choice) -> weights (D, K) and bias (K,).
    """

    def fit(tiles: EmbeddedTiles, choice: float) -> TileWeights:
        features = tiles.embeddings.astype(np.float32)
        mean, scale = measure_tiles(features)
        return TileWeights(mean, scale, *train((features - mean) * scale, tiles.labels, choice))

    return fit


def score_standardised(
    train_and_score: Callable[
        [Features, ClassNumbers, Features, Sequence[float], int], Iterable[Features]
    ],
) -> Callable[[EmbeddedTiles, FoldIds], ScoreTiles]:
    """Make the `start` of a head that is trained on standardised features.

    Args:
        train_and_score: (features, classes, features to score, choices, number of classes) ->
            (M, K) scores for each choice.
    """

    def start(tiles: EmbeddedTiles, fold_ids: FoldIds) -> ScoreTiles:
        def score(
            trained: Sequence[int], scored: npt.NDArray[np.floating], choices: Sequence[float]
        ) -> Iterable[Features]:
            rows = np.flatnonzero(np.isin(fold_ids, trained))
            train, others = standardise(
                tiles.embeddings[rows].astype(np.float32), scored.astype(np.float32)
            )
            return train_and_score(train, tiles.labels[rows], others, choices, tiles.n_classes)

        return score

    return start


def spread_scores(
    scores: npt.NDArray[np.floating], classes: ClassNumbers, n_classes: int, lowest: float
) -> Features:
    """Give scores of the classes of a training part the width of all classes.

    Args:
        scores: (N, k).
        classes: (k,) numbers of the classes that were trained on.
        n_classes: K.
        lowest: Score of the others.

    Returns:
        (N, K).
    """
    spread = np.full((len(scores), n_classes), lowest, np.float32)
    spread[:, classes] = scores
    return spread
