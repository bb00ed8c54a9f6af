"""One fold of tissue classification: embeddings, labels, fold, settings -> predictions. Pure.

Labels of the test part are never looked at: standardisation, penalty and weights come from the
training part alone, and the penalty is chosen on a part of that which is held out in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import FeatureScale
from histo_ray.learn.heads.base import EmbeddedTiles, FoldIds, ScoreTiles
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.heads.registry import Solver, load_tile_head

__all__ = [
    "EmbeddedTiles",
    "TileHeadSettings",
    "TilePredictions",
    "choose_tile_head",
    "fit_tile_head",
    "predict_other_tiles",
    "predict_tile_fold",
    "start_tile_head",
]

EXACT_LIMIT = 1e11
"""Rows x features x classes x fits of one encoder, up to which `auto` fits logistic regression.

Beyond, it is hours on a few cores, and `auto` takes least squares.
"""


@dataclass(frozen=True)
class TileHeadSettings:
    """How heads of tiles are trained."""

    head: str = "logistic"
    """Name in the registry of heads."""
    inner_parts: int = 1
    """Folds of the training part that are held out in turn to choose on."""


@dataclass(frozen=True)
class TilePredictions:
    """What a head predicts of tiles that it was not trained on."""

    predicted: npt.NDArray[np.int32]
    """(n,) class."""
    confidence: npt.NDArray[np.float32]
    """(n,) score of that class: probability, margin, share of votes, or fitted value."""
    choice: float
    """Penalty or neighbours, as chosen on held-out folds of the training part."""


def choose_tile_head(
    head: str, solver: Solver, rows: int, dim: int, n_classes: int, fits: int
) -> str:
    """Choose the head that will be trained; the same on every machine.

    Args:
        head: Asked for.
        solver: `fast` takes least squares in place of logistic regression, `auto` only where that
            would cost more than `EXACT_LIMIT`.
        rows: Trained on in a fit.
        dim: Features.
        n_classes: Classes.
        fits: Folds times repeats.
    """
    large = rows * dim * n_classes * fits > EXACT_LIMIT
    if head == "logistic" and (solver == "fast" or (solver == "auto" and large)):
        return "least-squares"
    return head


def start_tile_head(
    tiles: EmbeddedTiles, fold_ids: FoldIds, settings: TileHeadSettings
) -> ScoreTiles:
    """Prepare what all folds of a repeat share; `predict_tile_fold` does so if it is left out.

    Args:
        tiles: All rows.
        fold_ids: (N,) fold of each row.
        settings: Which head.
    """
    return load_tile_head(settings.head).start(tiles, fold_ids)


def predict_tile_fold(
    tiles: EmbeddedTiles,
    fold_ids: FoldIds,
    fold: int,
    settings: TileHeadSettings,
    score: ScoreTiles | None = None,
) -> TilePredictions:
    """Train on all other folds, predict this one.

    Args:
        tiles: All rows.
        fold_ids: (N,) fold of each row.
        fold: The test part.
        settings: Head and how it chooses.
        score: From `start_tile_head`, to be shared by all folds of a repeat.

    Returns:
        Predictions of the rows of `fold`, in their order.
    """
    others = [part for part in range(int(fold_ids.max()) + 1) if part != fold]
    ahead = [part for part in others if part > fold] + [part for part in others if part < fold]
    rows = np.flatnonzero(fold_ids == fold)
    return _train_and_predict(tiles, fold_ids, ahead, tiles.embeddings[rows], settings, score)


def predict_other_tiles(
    tiles: EmbeddedTiles,
    fold_ids: FoldIds,
    embeddings: npt.NDArray[np.floating],
    settings: TileHeadSettings,
) -> TilePredictions:
    """Train on all rows, predict others, such as those of an external test set.

    Args:
        tiles: All rows to train on.
        fold_ids: (N,) fold of each, to choose the penalty on.
        embeddings: (M, D) to predict.
        settings: Head and how it chooses.
    """
    everything = list(range(int(fold_ids.max()) + 1))
    return _train_and_predict(tiles, fold_ids, everything, embeddings, settings, None)


def fit_tile_head(
    tiles: EmbeddedTiles, classes: Sequence[str], fold_ids: FoldIds, settings: TileHeadSettings
) -> LinearFit:
    """Train on all rows as `predict_other_tiles` does, and keep the head.

    Args:
        tiles: All rows to train on, some of every class.
        classes: (K,) names.
        fold_ids: (N,) fold of each, to choose the penalty on.
        settings: Head and how it chooses.

    Returns:
        Its targets are the classes; embeddings are not held within a range. `inner_score` is the
        accuracy on the held-out folds.

    Raises:
        ConfigError: The head is not linear.
    """
    head = load_tile_head(settings.head)
    if head.fit is None:
        raise ConfigError(
            f"head {settings.head}: it is not linear, so it can be evaluated but not kept as a "
            "predictor; use another --head"
        )
    everything = list(range(int(fold_ids.max()) + 1))
    score = start_tile_head(tiles, fold_ids, settings)
    choice, inner_score = _choose(tiles, fold_ids, everything, settings, score)
    found = head.fit(tiles, choice)
    dim, count = found.weights.shape
    mean, scale, weights, bias = (np.asarray(values, np.float64) for values in found)
    return LinearFit(
        tuple(classes),
        FeatureScale(np.full(dim, -np.inf), np.full(dim, np.inf), mean, scale),
        weights,
        bias,
        head.link,
        np.full(count, choice),
        np.full(count, inner_score),
    )


def _train_and_predict(
    tiles: EmbeddedTiles,
    fold_ids: FoldIds,
    trained: Sequence[int],
    tested: npt.NDArray[np.floating],
    settings: TileHeadSettings,
    score: ScoreTiles | None,
) -> TilePredictions:
    score = score or start_tile_head(tiles, fold_ids, settings)
    choice, _ = _choose(tiles, fold_ids, trained, settings, score)
    (scores,) = score(trained, tested, [choice])
    return TilePredictions(
        scores.argmax(1).astype(np.int32), scores.max(1).astype(np.float32), choice
    )


def _choose(
    tiles: EmbeddedTiles,
    fold_ids: FoldIds,
    trained: Sequence[int],
    settings: TileHeadSettings,
    score: ScoreTiles,
) -> tuple[float, float]:
    """Choose on held-out folds of the training part; the accuracy there, nan without any."""
    choices = load_tile_head(settings.head).choices
    held_out = trained[: settings.inner_parts] if len(trained) > 1 else []
    right, count = np.zeros(len(choices)), 0
    for part in held_out:
        rows = np.flatnonzero(fold_ids == part)
        rest = [other for other in trained if other != part]
        paths = score(rest, tiles.embeddings[rows], choices)
        right += [(s.argmax(1) == tiles.labels[rows]).sum() for s in paths]
        count += len(rows)
    best = int(right.argmax())  # of equals the most regular
    return choices[best], float(right[best] / count) if count else np.nan
