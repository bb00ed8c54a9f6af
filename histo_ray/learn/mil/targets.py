"""What is to be learnt of each bag, who is held out to stop on, and how well they do. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from histo_ray.errors import ConfigError
from histo_ray.learn.inner_folds import draw_inner_folds
from histo_ray.learn.mil.settings import MilSettings

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class Split(NamedTuple):
    """A training part, cut in two."""

    learn: Rows
    """Rows whose labels move weights."""
    stop: Rows
    """Rows whose labels say when to stop."""


class Scale(NamedTuple):
    """Between labels and what the network answers."""

    start: Floats
    """(T,) answer before anything is learnt."""
    shift: Floats
    """(T,) added to a scaled answer: back to expression, or to the log odds of true shares."""
    spread: Floats
    """(T,) that an answer is multiplied by."""
    positive_weight: float
    """Of a positive in the loss; a negative's is 1."""


def check_labels(labels: Floats, settings: MilSettings) -> None:
    """Refuse labels that nothing can be learnt from.

    Args:
        labels: (n, T) of a training part.
        settings: Of the head.

    Raises:
        ConfigError: They are.
    """
    if settings.task == "expression":
        few = np.flatnonzero((np.isfinite(labels)).sum(0) < 4)
        if len(few):
            raise ConfigError(
                f"training part: fewer than 4 values of target {few[0]}, too few to train on; "
                "leave the target out"
            )
        return
    if labels.shape[1] != 1 or not np.isin(labels, (0, 1)).all():
        raise ConfigError(
            f"labels: shape {labels.shape} or other values than 0 and 1; attention heads take one "
            "target of 0 and 1; train a head for each target, on the patients that have a label"
        )
    for value, word in ((0, "negative"), (1, "positive")):
        if not (labels == value).any():
            raise ConfigError(
                f"training part: no {word} among {len(labels)} patients, but both classes are "
                "needed; use fewer folds or leave the target out"
            )


def scale_labels(labels: Floats, settings: MilSettings) -> tuple[Floats, Scale]:
    """Labels as the network learns them.

    A head that was trained with positives weighed w times gives odds w times too high: King and
    Zeng 2001, Logistic regression in rare events data, Political Analysis 9:137.

    Args:
        labels: (n, T) of the training part.
        settings: Task, and whether classes are balanced.

    Returns:
        (n, T), and the way back.
    """
    if settings.task == "expression":
        mean, sd = np.nanmean(labels, 0), np.nanstd(labels, 0)
        sd = np.where(sd > 0, sd, 1.0)
        return (labels - mean) / sd, Scale(np.zeros(len(mean)), mean, sd, 1.0)
    odds = labels.sum(0) / (1 - labels).sum(0)
    weight = float(1 / odds[0]) if settings.balanced else 1.0
    return labels, Scale(np.log(odds * weight), np.array([-np.log(weight)]), np.ones(1), weight)


def split_rows(
    labels: Floats, settings: MilSettings, seed: int, groups: Rows | None = None
) -> list[Split]:
    """Hold out bags to stop on: others for each member, and of each class its share.

    Args:
        labels: (n, T) of the training part; a row is a patient, so no patient is cut in two.
        settings: Share, task and members.
        seed: Of the draw.
        groups: (n,) what stays together.

    Returns:
        One for each member. Where a class, or all, has too few bags or groups for a part each,
        parts are larger or lack the class, and members may share one.

    Raises:
        ConfigError: One bag, or one group.
    """
    classes = labels[:, 0].astype(np.intp) if settings.task == "mutation" else None
    count = settings.stop_folds
    folds = draw_inner_folds(len(labels), count, seed, groups, classes)
    folds = folds or draw_inner_folds(len(labels), count, seed, groups)
    splits = [Split(*fold) for fold in folds if _can_learn(labels[fold[0]], settings)]
    if not splits:
        raise ConfigError(
            f"training part: {len(labels)} patients cannot be split into a part to train on, "
            "with both classes, and a part to stop on; use fewer folds, or more patients or sites"
        )
    return [splits[member % len(splits)] for member in range(settings.members)]


def _can_learn(labels: Floats, settings: MilSettings) -> bool:
    return settings.task == "expression" or len(np.unique(labels)) == 2


def score_targets(labels: Floats, answers: Floats, settings: MilSettings) -> Floats:
    """AUROC of a mutation; share of an expression's spread about the training mean explained.

    Args:
        labels: (n, T) scaled, nan where there is none.
        answers: (n, T) of the network.
        settings: Names the task.

    Returns:
        (T,), 1 the best; nan where labels do not differ.
    """
    if settings.task == "mutation":
        positive = labels[:, 0]
        both = len(np.unique(positive)) == 2
        return np.array([roc_auc_score(positive, answers[:, 0]) if both else np.nan])
    wrong, spread = np.nansum((labels - answers) ** 2, 0), np.nansum(labels**2, 0)
    return np.asarray(
        1 - np.divide(wrong, spread, out=np.full_like(wrong, np.nan), where=spread > 0)
    )


def mean_scores(scores: Sequence[Floats]) -> Floats:
    """Mean over members.

    Args:
        scores: (T,) of each.

    Returns:
        (T,) of those that have one; nan where none has.
    """
    stacked = np.array(scores)
    there = np.isfinite(stacked)
    total = np.where(there, stacked, 0).sum(0)
    empty = np.full(len(total), np.nan)
    return np.asarray(np.divide(total, there.sum(0), out=empty, where=there.any(0)))
