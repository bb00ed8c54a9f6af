"""Folds of repeated cross-validation; the same for every encoder. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from histo_ray.errors import ConfigError
from histo_ray.text import name_some

GIVEN = -1
"""Seed of folds that somebody else drew."""


@dataclass(frozen=True)
class Folds:
    """Repeated k-fold cross-validation of N items."""

    fold_ids: npt.NDArray[np.int32]
    """(repeats, N) the fold that tests each item, 0..n_folds-1; no two repeats are equal."""
    n_folds: int
    seeds: tuple[int, ...]
    """One a repeat."""
    groups: tuple[str, ...] | None
    """(N,) what stays in one fold together; None where each item is on its own."""

    @property
    def repeats(self) -> int:
        """Distinct splits of the items."""
        return len(self.fold_ids)


def draw_folds(
    labels: Sequence[str],
    n_folds: int,
    repeats: int,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Folds:
    """Draw stratified folds several times; a group is never in two folds.

    Repeat r is drawn with seed + r by scikit-learn's StratifiedKFold, or StratifiedGroupKFold.
    A repeat that splits the items as an earlier one does is left out, whatever the numbers of its
    folds: five groups can be put into five folds in one way only.

    Args:
        labels: (N,) class of each item; each fold gets its share of each.
        n_folds: Folds of a repeat, 2 or more.
        repeats: Splits drawn, 1 or more.
        seed: Seed of the first repeat.
        groups: (N,) patient, or site, of each item; see `join_groups` for both.

    Raises:
        ConfigError: A class with too few items or groups; all such classes at once. Or no repeat
            leaves every class something to train on.
    """
    classes, which = np.unique(np.asarray(labels, str), return_inverse=True)
    units = np.arange(len(which)) if groups is None else _number(groups)
    _check_classes(classes, which, units, n_folds, "items" if groups is None else "groups")
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    drawn = _draw(kind, which, None if groups is None else units, n_folds, repeats, seed)
    folds = Folds(*drawn, None if groups is None else tuple(groups))
    trained = ~_untrained(folds, which).any((1, 2))
    if not trained.any():
        check_training(folds, labels)
    return _select(folds, trained & find_distinct(folds.fold_ids))


def draw_plain_folds(
    n_folds: int, repeats: int, seed: int, count: int, groups: Sequence[str] | None = None
) -> Folds:
    """Draw folds of equal size without strata, by scikit-learn's KFold or GroupKFold.

    Args:
        n_folds: Folds of a repeat, 2 or more.
        repeats: Splits drawn, 1 or more; equal ones are left out, as by `draw_folds`.
        seed: Seed of the first repeat.
        count: Items.
        groups: (count,) what stays in one fold.

    Raises:
        ConfigError: Fewer items or groups than folds.
    """
    units = np.arange(count) if groups is None else _number(groups)
    if len(np.unique(units)) < n_folds:
        raise ConfigError(
            f"cohort: {len(np.unique(units))} patients or sites cannot fill {n_folds} folds; use "
            "fewer folds"
        )
    kind = KFold if groups is None else GroupKFold
    drawn = _draw(
        kind, np.zeros(count, int), None if groups is None else units, n_folds, repeats, seed
    )
    folds = Folds(*drawn, None if groups is None else tuple(groups))
    return _select(folds, find_distinct(folds.fold_ids))


def find_distinct(fold_ids: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Find the repeats that split the items as no earlier one does, whatever the folds' numbers.

    Args:
        fold_ids: (R, N) fold of each item; items below 0 are in none.

    Returns:
        (R,) flags; the first of equal repeats is flagged.
    """
    seen: set[bytes] = set()
    distinct = np.zeros(len(fold_ids), bool)
    for repeat, ids in enumerate(fold_ids):
        numbers, first, own = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(np.argsort(first))  # folds by the first item in them
        named = np.where(numbers[own] < 0, -1, order[own]).astype(np.int32).tobytes()
        distinct[repeat] = named not in seen
        seen.add(named)
    return distinct


def _draw(
    kind: Callable[..., Any],
    which: npt.NDArray[np.intp],
    units: npt.NDArray[np.intp] | None,
    n_folds: int,
    repeats: int,
    seed: int,
) -> tuple[npt.NDArray[np.int32], int, tuple[int, ...]]:
    """(fold_ids, n_folds, seeds) of `Folds`, by a splitter of scikit-learn."""
    fold_ids = np.empty((repeats, len(which)), np.int32)
    seeds = tuple(range(seed, seed + repeats))
    for repeat, number in enumerate(seeds):
        splitter = kind(n_folds, shuffle=True, random_state=number)
        for fold, (_, tested) in enumerate(splitter.split(which, which, units)):
            fold_ids[repeat, tested] = fold
    return fold_ids, n_folds, seeds


def _select(folds: Folds, kept: npt.NDArray[np.bool_]) -> Folds:
    seeds = tuple(seed for seed, keep in zip(folds.seeds, kept, strict=True) if keep)
    return Folds(folds.fold_ids[kept], folds.n_folds, seeds, folds.groups)


def join_groups(groups: Sequence[str], sites: Sequence[str]) -> tuple[str, ...]:
    """Join patients and sites to groups that keep both whole.

    A patient seen at two sites joins them.

    Args:
        groups: (N,) patient of each item.
        sites: (N,) site of each item.

    Returns:
        (N,) name of the joint group: its first site in alphabetical order.
    """
    names, site = np.unique(np.asarray(sites, str), return_inverse=True)
    group = _number(groups)
    size = len(names) + int(group.max()) + 1
    edges = coo_array((np.ones(len(site)), (site, len(names) + group)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    first: dict[int, str] = {}
    for name, number in zip(names, component[: len(names)], strict=True):
        first.setdefault(int(number), str(name))
    return tuple(first[int(component[number])] for number in site)


def check_training(folds: Folds, labels: Sequence[str]) -> None:
    """Refuse folds in which a class of a test part is missing from the training part.

    Raises:
        ConfigError: There is one; names class, repeat and fold.
    """
    classes, which = np.unique(np.asarray(labels, str), return_inverse=True)
    alone = np.argwhere(_untrained(folds, which))
    if len(alone):
        repeat, at, fold = alone[0]
        raise ConfigError(
            f"class {classes[at]}: all of it is in fold {fold} of repeat {repeat}, which leaves "
            "nothing of it to train on; use fewer folds or more groups of this class"
        )


def _untrained(folds: Folds, which: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """(R, K, F) whether all items of a class are in one fold."""
    counts = np.zeros((folds.repeats, int(which.max()) + 1, folds.n_folds), int)
    for repeat, ids in enumerate(folds.fold_ids):
        np.add.at(counts[repeat], (which, ids), 1)
    return np.asarray(counts == counts.sum(axis=2, keepdims=True))


def _check_classes(
    classes: npt.NDArray[np.str_],
    which: npt.NDArray[np.intp],
    units: npt.NDArray[np.intp],
    n_folds: int,
    word: str,
) -> None:
    if len(classes) < 2:
        raise ConfigError(
            f"labels: only one class ({name_some(list(classes))}); at least two are needed"
        )
    pairs = np.unique(np.stack([which, units]), axis=1)
    counts = np.bincount(pairs[0])
    few = [f"{name} in {n}" for name, n in zip(classes, counts, strict=True) if n < n_folds]
    if few:
        raise ConfigError(
            f"labels: too few {word} of {', '.join(few)} for {n_folds} folds, which need "
            f"{n_folds} of each class; use fewer folds or leave the class out"
        )


def _number(names: Sequence[str]) -> npt.NDArray[np.intp]:
    return np.unique(np.asarray(names, str), return_inverse=True)[1]
