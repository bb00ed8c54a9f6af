"""Independent units and covariance of folds, by what the values of a target are. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from histo_ray.learn.fold_support import FoldSupport, count_support
from histo_ray.learn.statistics import count_covariance, label_covariance
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
FoldIds = npt.NDArray[np.integer]
CountUnits = Callable[[Floats, FoldIds, Sequence[str] | None, bool], FoldSupport]
"""((P, T) labels, folds, groups, whether they are sites) -> splits and units."""
Covariance = Callable[[npt.NDArray[np.bool_], Floats], Floats]
"""((J, N) rows that each fold tests, (N,) labels) -> (J, J) of the folds' scores."""


def _count_numbers(
    values: Floats, fold_ids: FoldIds, groups: Sequence[str] | None, sites: bool
) -> FoldSupport:
    return count_support(values, fold_ids, groups, classes=False, sites=sites)


def _count_binary(
    values: Floats, fold_ids: FoldIds, groups: Sequence[str] | None, sites: bool
) -> FoldSupport:
    return count_support(values, fold_ids, groups, classes=True, sites=sites)


def _count_classes(
    values: Floats, fold_ids: FoldIds, groups: Sequence[str] | None, sites: bool
) -> FoldSupport:
    """Count units as of the rarest class of each target against all others."""
    found = count_support(values, fold_ids, groups, classes=False, sites=sites)
    units, effective = found.units.copy(), found.effective.copy()
    for target, column in enumerate(values.T):
        own = fold_ids[[target]] if fold_ids.ndim == 3 else fold_ids
        for number in np.unique(column[~np.isnan(column)]):
            one = np.where(np.isnan(column), np.nan, column == number)[:, None]
            support = count_support(one, own, groups, classes=True, sites=sites)
            units[target] = min(units[target], support.units[0])
            effective[target] = min(effective[target], support.effective[0])
    return replace(found, units=units, effective=effective)


def _rank_classes(tested: npt.NDArray[np.bool_], labels: Floats) -> Floats:
    """Covariance of the mean over classes of one-versus-rest AUROCs, given the labels.

    Scores of the classes are taken to be equally correlated within a fold and between two folds, so
    that the mean over classes is what the classes have on average.
    """
    each = [label_covariance(tested, (labels == n).astype(np.float64)) for n in np.unique(labels)]
    return np.asarray(np.mean(each, axis=0))


def _count_rows(tested: npt.NDArray[np.bool_], labels: Floats) -> Floats:
    """Covariance over all labels that are equally likely for each row."""
    return count_covariance(tested)


COUNT_UNITS: Mapping[TargetKind, CountUnits] = {
    TargetKind.CONTINUOUS: _count_numbers,
    TargetKind.BINARY: _count_binary,
    TargetKind.MULTICLASS: _count_classes,
    TargetKind.ORDINAL: _count_numbers,
}
"""By what the values of a target are."""
COVARIANCES: Mapping[TargetKind, Covariance] = {
    TargetKind.CONTINUOUS: _count_rows,
    TargetKind.BINARY: label_covariance,
    TargetKind.MULTICLASS: _rank_classes,
    TargetKind.ORDINAL: _count_rows,
}
"""Likewise."""
OF_LABELS = frozenset({TargetKind.BINARY, TargetKind.MULTICLASS})
"""Kinds whose covariance depends on the labels, and whose units are those of the rarest class."""
