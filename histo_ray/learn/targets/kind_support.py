"""Independent units and covariance of folds, by what the values of a target are. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from histo_ray.learn.cox_fit import hazard_at, measure_baseline
from histo_ray.learn.statistics import count_covariance, label_covariance
from histo_ray.learn.targets.fold_support import FoldSupport, count_support
from histo_ray.types import TargetKind
from histo_ray.types.signed_times import split_times

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


def _count_events(
    values: Floats, fold_ids: FoldIds, groups: Sequence[str] | None, sites: bool
) -> FoldSupport:
    """Count the units with an event: a censored patient says little by itself."""
    events = np.where(values > 0, values, np.nan)
    return count_support(events, fold_ids, groups, classes=False, sites=sites)


def _rank_classes(tested: npt.NDArray[np.bool_], labels: Floats) -> Floats:
    """Covariance of the mean over classes of one-versus-rest AUROCs, given the labels.

    Scores of the classes are taken to be equally correlated within a fold and between two folds, so
    that the mean over classes is what the classes have on average.
    """
    each = [label_covariance(tested, (labels == n).astype(np.float64)) for n in np.unique(labels)]
    return np.asarray(np.mean(each, axis=0))


def _rank_times(tested: npt.NDArray[np.bool_], labels: Floats) -> Floats:
    """Covariance of C-indices, given the times.

    Under chance the gradient of the partial likelihood is a sum over patients of features times
    log-rank scores, so these take the place of labels.
    """
    return label_covariance(tested, log_rank_scores(labels))


def log_rank_scores(signed: Floats) -> Floats:
    """Events less those expected if all patients are alike (martingale residuals).

    Therneau, Grambsch and Fleming 1990, Biometrika 77:147.

    Args:
        signed: (N,) signed times.

    Returns:
        (N,); their sum is 0.
    """
    times, events = split_times(signed)
    expected = hazard_at(*measure_baseline(signed, np.zeros(len(signed))), times)
    return np.asarray(events - expected)


def _count_rows(tested: npt.NDArray[np.bool_], labels: Floats) -> Floats:
    """Covariance over all labels that are equally likely for each row."""
    return count_covariance(tested)


COUNT_UNITS: Mapping[TargetKind, CountUnits] = {
    TargetKind.CONTINUOUS: _count_numbers,
    TargetKind.BINARY: _count_binary,
    TargetKind.MULTICLASS: _count_classes,
    TargetKind.ORDINAL: _count_numbers,
    TargetKind.SURVIVAL: _count_events,
}
"""By what the values of a target are."""
COVARIANCES: Mapping[TargetKind, Covariance] = {
    TargetKind.CONTINUOUS: _count_rows,
    TargetKind.BINARY: label_covariance,
    TargetKind.MULTICLASS: _rank_classes,
    TargetKind.ORDINAL: _count_rows,
    TargetKind.SURVIVAL: _rank_times,
}
"""Likewise."""
OF_LABELS = frozenset({TargetKind.BINARY, TargetKind.MULTICLASS, TargetKind.SURVIVAL})
"""Kinds whose covariance depends on the labels, and whose units are those of the rarest class, or
those with an event."""
OWN_COVARIANCE = frozenset({TargetKind.SURVIVAL})
"""Kinds whose tests take the covariance of their very folds however many patients there are.

One correlation for all pairs of folds, that of sums, is too large for C-indices: 2.3 % of scores of
noise had P < 0.05 by it (`python -m benchmarks.survival_level`; 100 patients, half censored).
"""
