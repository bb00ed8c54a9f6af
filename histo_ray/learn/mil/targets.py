"""Labels as the network is trained on them, bags held out to stop on, and their scores. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from histo_ray.errors import ConfigError
from histo_ray.learn.inner_folds import draw_inner_folds
from histo_ray.learn.mil.mil_settings import MilSettings

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class Split(NamedTuple):
    """A training part, cut in two."""

    train: Rows
    """Rows whose labels move weights."""
    stop: Rows
    """Rows whose loss decides when to stop."""


class Scale(NamedTuple):
    """Between labels and outputs of the network."""

    start: Floats
    """(T,) output before training."""
    shift: Floats
    """(T,) added to a scaled output: back to the labels, or to the log odds of true shares."""
    spread: Floats
    """(T,) that an output is multiplied by."""
    positive_weight: float
    """Weight of a positive in the loss; a negative's is 1."""


def check_labels(labels: Floats, binary: bool) -> None:
    """Refuse labels that no head can be trained on.

    Args:
        labels: (n, T) of a training part.
        binary: Whether they are classes.

    Raises:
        ConfigError: They are such labels.
    """
    if not binary:
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


def scale_labels(labels: Floats, binary: bool, balanced: bool) -> tuple[Floats, Scale]:
    """Scale labels to what the network is trained on.

    A head that was trained with positives weighed w times gives odds w times too high: King and
    Zeng 2001, Logistic regression in rare events data, Political Analysis 9:137.

    Args:
        labels: (n, T) of the training part.
        binary: Whether they are classes.
        balanced: Whether both classes weigh the same in the loss.

    Returns:
        (n, T), and the scale that leads back.
    """
    if not binary:
        mean, sd = np.nanmean(labels, 0), np.nanstd(labels, 0)
        sd = np.where(sd > 0, sd, 1.0)
        return (labels - mean) / sd, Scale(np.zeros(len(mean)), mean, sd, 1.0)
    odds = labels.sum(0) / (1 - labels).sum(0)
    weight = float(1 / odds[0]) if balanced else 1.0
    return labels, Scale(np.log(odds * weight), np.array([-np.log(weight)]), np.ones(1), weight)


def split_rows(
    labels: Floats, binary: bool, settings: MilSettings, seed: int, groups: Rows | None = None,
    shared: tuple[int, int] | None = None,
) -> list[Split]:  # fmt: skip
    """Hold out bags to stop on: others for each member, and of each class its share.

    Args:
        labels: (n, T) of the training part; a row is a patient, so no patient is cut in two.
        binary: Whether they are classes.
        settings: Share and members.
        seed: Seed of the draw.
        groups: (n,) what stays together.
        shared: Seed and number of the inner folds that other heads are scored on; None: as
            `settings` and `seed` say.

    Returns:
        One for each member. Where a class, or all, has too few bags or groups for a part each,
        parts are larger or lack the class, and members may share one.

    Raises:
        ConfigError: One bag, or one group.
    """
    classes = labels[:, 0].astype(np.intp) if binary else None
    count = settings.stop_folds
    if shared is not None:
        seed, count = shared
        if groups is not None and len(np.unique(groups)) == len(groups):
            groups = None  # as other heads are told where each patient is alone
    folds = draw_inner_folds(len(labels), count, seed, groups, classes)
    folds = folds or draw_inner_folds(len(labels), count, seed, groups)
    splits = [Split(*fold) for fold in folds if _has_both(labels[fold[0]], binary)]
    if not splits:
        raise ConfigError(
            f"training part: {len(labels)} patients cannot be split into a part to train on, "
            "with both classes, and a part to stop on; use fewer folds, or more patients or sites"
        )
    return [splits[member % len(splits)] for member in range(settings.members)]


def _has_both(labels: Floats, binary: bool) -> bool:
    return not binary or len(np.unique(labels)) == 2


def score_targets(labels: Floats, outputs: Floats, binary: bool) -> Floats:
    """AUROC of classes; of numbers the share of variance about the training mean explained.

    Args:
        labels: (n, T) scaled, nan where there is none.
        outputs: (n, T) of the network.
        binary: Whether they are classes.

    Returns:
        (T,), 1 the best; nan where labels do not differ.
    """
    if binary:
        positive = labels[:, 0]
        both = len(np.unique(positive)) == 2
        return np.array([roc_auc_score(positive, outputs[:, 0]) if both else np.nan])
    wrong, spread = np.nansum((labels - outputs) ** 2, 0), np.nansum(labels**2, 0)
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
