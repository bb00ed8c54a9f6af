"""Bags held out to stop on, and means of the members' scores. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.learn.inner_folds import draw_inner_folds
from histo_ray.learn.mil.kinds.base import Floats, MilKind, Rows
from histo_ray.learn.mil.mil_settings import MilSettings


class Split(NamedTuple):
    """A training part, cut in two."""

    train: Rows
    """Rows whose labels move weights."""
    stop: Rows
    """Rows whose loss decides when to stop."""


def split_rows(
    labels: Floats, kind: MilKind, settings: MilSettings, seed: int, groups: Rows | None = None,
    shared: tuple[int, int] | None = None,
) -> list[Split]:  # fmt: skip
    """Hold out bags to stop on: others for each member, and of each class its share.

    Args:
        labels: (n, T) of the training part; a row is a patient, so no patient is cut in two.
        kind: Of the targets.
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
    count = settings.stop_folds
    if shared is not None:
        seed, count = shared
        if groups is not None and len(np.unique(groups)) == len(groups):
            groups = None  # as other heads are told where each patient is alone
    folds = draw_inner_folds(len(labels), count, seed, groups, kind.classes(labels))
    folds = folds or draw_inner_folds(len(labels), count, seed, groups)
    splits = [Split(*fold) for fold in folds if kind.can_train(labels[fold[0]])]
    if not splits:
        raise ConfigError(
            f"training part: {len(labels)} patients cannot be split into a part to train on, "
            "with both classes, and a part to stop on; use fewer folds, or more patients or sites"
        )
    return [splits[member % len(splits)] for member in range(settings.members)]


def mean_scores(scores: Sequence[Floats] | Floats) -> Floats:
    """Mean over members, or other rows.

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
