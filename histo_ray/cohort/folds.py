"""Folds of repeated cross-validation: who is judged when. Pure; the same for every encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from histo_ray.errors import ConfigError

GIVEN = -1
"""Seed of folds that somebody else drew."""


@dataclass(frozen=True)
class Folds:
    """Repeated k-fold cross-validation of N items."""

    parts: npt.NDArray[np.int32]
    """(repeats, N) the fold in which each item is judged, 0..n_folds-1."""
    n_folds: int
    seeds: tuple[int, ...]
    """One a repeat."""
    groups: tuple[str, ...] | None
    """(N,) what stays in one fold together; None where each item is on its own."""

    @property
    def repeats(self) -> int:
        """How often all items are judged."""
        return len(self.parts)


def draw_folds(
    labels: Sequence[str],
    n_folds: int,
    repeats: int,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Folds:
    """Draw stratified folds, several times over; a group is never in two folds.

    Repeat r is drawn with seed + r by scikit-learn's StratifiedKFold, or StratifiedGroupKFold.

    Args:
        labels: (N,) class of each item; each fold gets its share of each.
        n_folds: Folds of a repeat, 2 or more.
        repeats: How often, 1 or more.
        seed: Of the first repeat.
        groups: (N,) patient, or site, of each item; see `join_groups` for both.

    Raises:
        ConfigError: A class with too few items or groups; all such classes at once.
    """
    classes, which = np.unique(np.asarray(labels, str), return_inverse=True)
    units = np.arange(len(which)) if groups is None else _number(groups)
    _check_classes(classes, which, units, n_folds, "items" if groups is None else "groups")
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    parts = np.empty((repeats, len(which)), np.int32)
    seeds = tuple(range(seed, seed + repeats))
    for repeat, number in enumerate(seeds):
        splitter = kind(n_folds, shuffle=True, random_state=number)
        for fold, (_, judged) in enumerate(
            splitter.split(which, which, None if groups is None else units)
        ):
            parts[repeat, judged] = fold
    folds = Folds(parts, n_folds, seeds, None if groups is None else tuple(groups))
    check_training(folds, labels)
    return folds


def join_groups(groups: Sequence[str], sites: Sequence[str]) -> tuple[str, ...]:
    """Groups that keep patients and sites whole: for folds that no site is in twice.

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
    """Refuse folds in which some class would be judged without ever having been trained on.

    Raises:
        ConfigError: It is so; names class, repeat and fold.
    """
    classes, which = np.unique(np.asarray(labels, str), return_inverse=True)
    for repeat, part in enumerate(folds.parts):
        counts = np.zeros((len(classes), folds.n_folds), int)
        np.add.at(counts, (which, part), 1)
        alone = np.argwhere(counts == counts.sum(axis=1, keepdims=True))
        if len(alone):
            at, fold = alone[0]
            raise ConfigError(
                f"class {classes[at]}: all of it in fold {fold} of repeat {repeat}, wanted some "
                "left to train on; use fewer --folds or more groups of this class"
            )


def _check_classes(
    classes: npt.NDArray[np.str_],
    which: npt.NDArray[np.intp],
    units: npt.NDArray[np.intp],
    n_folds: int,
    word: str,
) -> None:
    if len(classes) < 2:
        raise ConfigError(f"labels: one class ({name_some(list(classes))}), wanted 2 or more")
    pairs = np.unique(np.stack([which, units]), axis=1)
    counts = np.bincount(pairs[0])
    few = [f"{name} in {n}" for name, n in zip(classes, counts, strict=True) if n < n_folds]
    if few:
        raise ConfigError(
            f"labels: too few {word} of {', '.join(few)}, wanted {n_folds} or more a class; "
            "use fewer --folds or leave the class out"
        )


def _number(names: Sequence[str]) -> npt.NDArray[np.intp]:
    return np.unique(np.asarray(names, str), return_inverse=True)[1]


def name_some(names: Sequence[str], shown: int = 5) -> str:
    """The first few of some names, for a message."""
    text = ", ".join(str(name) for name in names[:shown])
    return text + (", ..." if len(names) > shown else "")
