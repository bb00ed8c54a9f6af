"""One fold of cross-validation by attention. The test part has no part in the training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.fold_data import FoldPrediction
from histo_ray.learn.mil.bags import Bags
from histo_ray.learn.mil.head import MilHead
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.training import Report, keep_going, train_mil

Floats = npt.NDArray[np.float64]


class SharedFolds(NamedTuple):
    """Inner folds that an attention head shares with the other heads of a choice."""

    seed: int
    """Of the outer fold, from `draw_inner_seed`."""
    folds: int
    """How many."""


@dataclass(frozen=True)
class MilFold:
    """One fold as a head of bags gets it."""

    bags: Bags
    """P of them."""
    labels: Floats
    """(P, T); nan where there is none."""
    fold_ids: npt.NDArray[np.integer]
    """(P,) fold of each patient; below 0: in none, neither trained on nor predicted."""
    fold: int
    """The test part."""
    settings: MilSettings
    seed: int
    """Seed of a repeat; the fold is added to it."""
    report: Report = keep_going
    """As for `train_mil`."""
    binary: bool = True
    """Whether labels are classes."""
    shared: SharedFolds | None = None
    """Inner folds by which members are stopped and scored, where other heads compete; None: the
    head's own, by `seed` and `settings`."""


class BagHead(NamedTuple):
    """A head that predicts targets of patients from all of their tiles."""

    predict: Callable[[MilFold], FoldPrediction]
    """Train on the training part, stopped by bags of it, and predict the test part."""
    train: Callable[[MilFold], MilHead]
    """Train as `predict` does, and return the head."""


def train_mil_fold(data: MilFold) -> MilHead:
    """Train on all other folds.

    Returns:
        The head whose predictions `predict_mil_fold` returns.

    Raises:
        ConfigError: As for `train_mil`.
    """
    labelled = np.isfinite(data.labels).any(1)
    trained = np.flatnonzero((data.fold_ids >= 0) & (data.fold_ids != data.fold) & labelled)
    own_seed = int(np.random.SeedSequence([data.seed, data.fold]).generate_state(1)[0])
    return train_mil(
        data.bags.take(trained),
        data.labels[trained],
        data.settings,
        own_seed,
        data.report,
        binary=data.binary,
        shared=data.shared,
    )


def predict_mil_fold(data: MilFold) -> FoldPrediction:
    """Train on all other folds, predict this one.

    Returns:
        Predictions of the rows of `fold`, in their order; `choice` is the epoch that the weights
        are from.

    Raises:
        ConfigError: As for `train_mil`.
    """
    head = train_mil_fold(data)
    tested = np.flatnonzero(data.fold_ids == data.fold)
    predicted = head.predict([data.bags.vectors[row] for row in tested])
    predicted[~np.isfinite(data.labels[tested])] = np.nan
    epochs = np.full(data.labels.shape[1], np.mean(head.epochs))
    return FoldPrediction(predicted, epochs, head.inner_score)


HEAD = BagHead(predict_mil_fold, train_mil_fold)
