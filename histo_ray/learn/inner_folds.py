"""Folds of a training part, on which a head chooses. Pure."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import FoldData

Rows = npt.NDArray[np.intp]


def draw_inner_folds(
    rows: int, count: int, seed: int, groups: Rows | None = None, classes: Rows | None = None
) -> list[tuple[Rows, Rows]]:
    """Split a training part by scikit-learn's splitter for the case.

    Args:
        rows: n.
        count: Folds asked for; fewer are drawn where a class or the whole has fewer rows or groups.
        seed: Of the draw.
        groups: (n,) what stays together.
        classes: (n,) of which each fold gets its share; None: values, not classes.

    Returns:
        (train, held out) row numbers of each fold; none where two folds cannot be had. With
        groups, a fold may lack a class on either side.
    """
    count = min(count, *_count_units(rows, groups, classes))
    if count < 2:
        return []
    if classes is not None:
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    else:
        kind = KFold if groups is None else GroupKFold
    splitter = kind(count, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(rows), classes, groups))


def _count_units(rows: int, groups: Rows | None, classes: Rows | None) -> Iterator[int]:
    units = np.arange(rows) if groups is None else groups
    yield len(np.unique(units))
    for which in [] if classes is None else np.unique(classes):
        yield len(np.unique(units[classes == which]))


def draw_regression_folds(fold: FoldData) -> list[tuple[Rows, Rows]]:
    """Draw the inner folds of a head that predicts numbers.

    Raises:
        ConfigError: No two inner folds can be had.
    """
    folds = draw_inner_folds(len(fold.train), fold.inner_folds, fold.seed, fold.groups)
    if not folds:
        raise ConfigError(
            f"training part: all {len(fold.train)} patients are of one group, but choosing by "
            "inner folds needs two; use ridge, which leaves out one patient at a time"
        )
    return folds
