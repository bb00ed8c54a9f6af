"""Is expression predicted better than chance? Labels permuted, and everything fitted again. Pure.

Out-of-fold predictions depend on the labels through the training parts: labels permuted against
fixed predictions are no fair comparison. Permuted labels are therefore further targets (columns) of
the same cross-validation, which choose their penalties like all others; ridge regression solves
thousands of them with the decompositions it has.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.correlation import correlate_within

Floats = npt.NDArray[np.float64]


def permute_targets(
    targets: Floats, count: int, seed: int, groups: Sequence[str] | None = None
) -> Floats:
    """Labels that features say nothing of: each a random target, its patients permuted.

    Together they are one null distribution for all targets, as `chance_statistic` hardly depends
    on the values of a target.

    Args:
        targets: (P, T); nan: no label. It stays where it is, so that a permuted target shares the
            training parts of its source.
        count: Columns to draw, B.
        seed: Of the draws.
        groups: (P,) such as sites: labels are exchanged within them only, so what a group's
            patients have in common does not count as predicted.

    Returns:
        (P, B).
    """
    rng = np.random.default_rng(seed)
    rows = len(targets)
    units = np.zeros(rows, int) if groups is None else np.unique(groups, return_inverse=True)[1]
    permuted = np.empty((rows, count))
    for column, target in enumerate(rng.integers(0, targets.shape[1], count)):
        values = targets[:, target]
        missing = np.isnan(values)
        own = np.where(missing, rows + np.arange(rows), units)  # who lacks a label stays alone
        order = np.lexsort((rng.random(rows), own))
        permuted[np.argsort(own, kind="stable"), column] = values[order]
    return permuted


def count_orders(targets: Floats, groups: Sequence[str] | None = None) -> Floats:
    """Natural logarithm of the number of different orders that `permute_targets` can draw.

    Args:
        targets: (P, T); nan: no label.
        groups: (P,) within which labels are exchanged; None: over all patients.

    Returns:
        (T,) 0 where nothing can be exchanged; equal labels count once.
    """
    units = (
        np.zeros(len(targets), int) if groups is None else np.unique(groups, return_inverse=True)[1]
    )
    found = np.zeros(targets.shape[1])
    for unit in np.unique(units):
        rows = np.sort(targets[units == unit], axis=0)  # nan comes last
        run = np.zeros(rows.shape[1])
        for number, row in enumerate(rows):
            there = ~np.isnan(row)
            same = (row == rows[number - 1]) if number else np.zeros(len(row), bool)
            run = np.where(same, run + 1, 1.0)  # n! / prod(ties!) as a product over sorted labels
            found += np.where(there, np.log(number + 1) - np.log(run), 0.0)
    return found


def chance_statistic(
    truth: Floats,
    predicted: npt.NDArray[np.floating],
    fold_ids: npt.NDArray[np.integer],
    groups: Sequence[str] | None = None,
) -> Floats:
    """Mean over the folds of a repeat of the correlation within each fold.

    Given a training part, all orders of the labels of its fold are equally likely under chance, so
    each fold's correlation is 0 on average however folds were drawn, and near normal. Over all
    folds' predictions together it is not: those are low where a fold's own labels are high, as
    its training part lacks them, and more so where folds are not stratified by the target.

    Args:
        truth: (P, T) labels, permuted or not; nan: no label.
        predicted: (P, T) out of fold, by heads trained on these labels.
        fold_ids: (P,) fold of each patient; below 0: in none.
        groups: (P,) as for `permute_targets`: correlation is then about each group's means.

    Returns:
        (T,); a fold with constant predictions counts as 0, nan where all are.
    """
    units = (
        np.zeros(len(fold_ids), int)
        if groups is None
        else np.unique(groups, return_inverse=True)[1]
    )
    folds = np.unique(fold_ids[fold_ids >= 0])
    scores = np.stack(
        [
            correlate_within(
                truth[fold_ids == fold], predicted[fold_ids == fold], units[fold_ids == fold]
            )
            for fold in folds
        ]
    )
    undefined = np.isnan(scores)
    return np.where(undefined.all(0), np.nan, np.where(undefined, 0.0, scores).mean(0))
