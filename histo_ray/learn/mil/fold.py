"""One fold of cross-validation by attention. The test part has no part in the training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.mil.bags import Bags
from histo_ray.learn.mil.head import MilHead
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.training import Report, keep_going, train_mil
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]


class SharedFolds(NamedTuple):
    """Inner folds that an attention head shares with the other heads of a choice."""

    seed: int
    """Seed of the outer fold, from `draw_inner_seed`."""
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
    kind: TargetKind = TargetKind.BINARY
    """Kind of the targets."""
    shared: SharedFolds | None = None
    """Inner folds by which members are stopped and scored, where other heads compete; None: the
    head's own, by `seed` and `settings`."""


class BagPrediction(NamedTuple):
    """What a head of bags predicts of one fold, and what each of its members does."""

    predicted: Floats
    """(m, T), `choice` and `inner_score` as of `FoldPrediction`."""
    choice: Floats
    inner_score: Floats
    seeds: npt.NDArray[np.int64]
    """(members,)."""
    member_epochs: npt.NDArray[np.int64]
    """(members,) that the weights are from."""
    member_inner_scores: Floats
    """(members, T) whose mean is `inner_score`."""
    member_predicted: Floats
    """(members, m, T) what each member predicts alone."""


class BagHead(NamedTuple):
    """A head that predicts targets of patients from all of their tiles."""

    predict: Callable[[MilFold], BagPrediction]
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
        kind=data.kind,
        shared=data.shared,
    )


def predict_mil_fold(data: MilFold) -> BagPrediction:
    """Train on all other folds, predict this one.

    Returns:
        Predictions of the rows of `fold`, in their order; `choice` is the epoch that the weights
        are from, mean over members.

    Raises:
        ConfigError: As for `train_mil`.
    """
    head = train_mil_fold(data)
    tested = np.flatnonzero(data.fold_ids == data.fold)
    outputs = head.look([data.bags.vectors[row] for row in tested])
    outputs[:, ~np.isfinite(data.labels[tested])] = np.nan
    return BagPrediction(
        predicted=head.join_members(outputs),
        choice=np.full(data.labels.shape[1], np.mean(head.epochs)),
        inner_score=head.inner_score,
        seeds=np.array(head.seeds, np.int64),
        member_epochs=np.array(head.epochs, np.int64),
        member_inner_scores=head.member_scores,
        member_predicted=head.predict_members(outputs),
    )


HEAD = BagHead(predict_mil_fold, train_mil_fold)
