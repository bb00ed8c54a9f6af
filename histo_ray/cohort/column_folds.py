"""Folds of each column of labels for itself, stratified by what it holds. Pure."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import Folds, draw_folds, draw_plain_folds
from histo_ray.cohort.patient_folds import STRATA, OutcomeFolds, draw_each
from histo_ray.types import TargetKind

Column = npt.NDArray[np.float64]
Stratify = Callable[[Column, int], list[str] | None]
"""((N,) labels, most strata) -> stratum of each patient; None: none are needed."""


def _by_class(values: Column, most: int) -> list[str] | None:
    """Each class is a stratum."""
    return [f"class {value:g}" for value in values.tolist()]


def _by_quantile(values: Column, most: int) -> list[str] | None:
    """As many strata of equal size as folds can be filled of, at most `STRATA`."""
    strata = min(STRATA, most)
    if strata < 2:
        return None
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return [str(stratum) for stratum in order * strata // len(values)]


STRATIFY: Mapping[TargetKind, Stratify] = {
    TargetKind.BINARY: _by_class,
    TargetKind.MULTICLASS: _by_class,
    TargetKind.ORDINAL: _by_class,
    TargetKind.CONTINUOUS: _by_quantile,
}
"""By what the values of a column are."""


def draw_column_folds(
    kind: TargetKind,
    values: npt.NDArray[np.float64],
    targets: Sequence[str],
    n_folds: int,
    repeats: int,
    seed: int,
    groups: Sequence[str],
) -> OutcomeFolds:
    """Draw folds of the patients that have a label, for each column.

    Args:
        kind: Of all columns: classes are strata, and numbers are cut at their quantiles.
        values: (P, T); nan: no label.
        targets: (T,) names, for messages.
        n_folds: Folds of a repeat.
        repeats: Splits drawn for each column; equal ones of a column are left out.
        seed: Seed of the first repeat, for each column.
        groups: (P,) patient, or site.

    Raises:
        ConfigError: Too few patients or sites, of a class or of all.
    """

    def draw(own: Column, kept: Sequence[str] | None) -> Folds:
        units = [str(row) for row in range(len(own))] if kept is None else kept
        strata = STRATIFY[kind](own, len(set(units)) // n_folds)
        numbers = kind is TargetKind.CONTINUOUS
        if strata is None or (numbers and not _fills(strata, units, n_folds)):
            return draw_plain_folds(n_folds, repeats, seed, len(own), kept)
        return draw_folds(strata, n_folds, repeats, seed, kept)

    return draw_each("column", values, targets, (n_folds, repeats, seed), groups, draw)


def _fills(strata: Sequence[str], groups: Sequence[str], n_folds: int) -> bool:
    """Whether each stratum has patients of a group for every fold."""
    pairs = set(zip(strata, groups, strict=True))
    names = [stratum for stratum, _ in pairs]
    return min(names.count(name) for name in set(names)) >= n_folds
