"""Tests over the fold scores of targets, for few and for many patients. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics import (
    MOST_FOLDS,
    corrected_t_test,
    count_orders,
    flag_folds,
    fold_t_test,
)
from histo_ray.learn.statistics.fold_tests import Alternative
from histo_ray.learn.targets.kind_support import COVARIANCES, OWN_COVARIANCE
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_truth import Floats, TargetTruth

FEWEST_ORDERS = 1000
"""Different orders of the labels below which no permutation P value is given."""


class FoldTest(NamedTuple):
    """Test of a mean over folds; all (T,), nan where no test is possible."""

    p: Floats
    df: Floats
    low: Floats
    """Lower end of the 95 % interval of the mean that is this test turned round: two-sided P is
    below 0.05 where it leaves out 0, and only there."""
    high: Floats


def test_above_chance(truth: TargetTruth, above: Floats) -> FoldTest:
    """One-sided test of fold scores.

    Args:
        truth: Labels and folds.
        above: (R, F, T) score less that of a guess; nan where a fold has none.
    """
    return _test(truth, above, "greater")


def test_difference(truth: TargetTruth, differences: Floats) -> FoldTest:
    """Two-sided test of the differences between two encoders; arguments as `test_above_chance`."""
    return _test(truth, differences, "two-sided")


test_above_chance.__test__ = test_difference.__test__ = False  # type: ignore[attr-defined]


def too_few_orders(truth: TargetTruth) -> npt.NDArray[np.bool_]:
    """(T,) targets whose labels have too few different orders for a permutation test."""
    return np.asarray(count_orders(truth.values, truth.sites) < np.log(FEWEST_ORDERS))


def degrees_of_freedom(truth: TargetTruth) -> Floats:
    """(T,) of the tests over folds, as far as each fold has a score; nan where there is none."""
    nothing = np.where(truth.counts.n_test > 0, 0.0, np.nan)
    return test_difference(truth, nothing).df


def _test(truth: TargetTruth, scores: Floats, alternative: Alternative) -> FoldTest:
    folds = scores.reshape(-1, scores.shape[-1]).T  # (T, J)
    found = corrected_t_test(
        folds, *truth.counts.sizes, alternative=alternative, correlation="chance"
    )
    result = FoldTest(*(field.copy() for field in (found.p, found.df, found.low, found.high)))
    few = np.flatnonzero(truth.support.few | (truth.kind in OWN_COVARIANCE))
    known = METRICS[truth.kind].null_variance if alternative == "greater" else None
    shared: dict[bytes, Floats] = {}
    for target in few:
        for field in result:
            field[target] = np.nan
        there = ~np.isnan(folds[target])
        if truth.support.untested[target] or there.sum() < 2:
            continue
        covariance = _covariance(truth, int(target), shared)
        within = there[: len(covariance)]  # the first folds stand for all
        own = covariance[np.ix_(within, within)]
        if within.sum() < 2 or np.isnan(own).any():
            continue
        units = int(truth.support.units[target])
        one = fold_t_test(
            folds[target, : len(covariance)][within],
            own,
            units,
            alternative=alternative,
            null_variance=known,
        )
        for field, value in zip(result, (one.p, one.df, one.low, one.high), strict=True):
            field[target] = float(value)
    return result


def _covariance(truth: TargetTruth, target: int, shared: dict[bytes, Floats]) -> Floats:
    """(J, J) of the folds of one target; the same for all that lack the same patients."""
    labels = truth.values[:, target]
    there = ~np.isnan(labels)
    fold_ids = truth.fold_ids[target] if truth.fold_ids.ndim == 3 else truth.fold_ids
    fold_ids = np.where(there, fold_ids, -1)
    if truth.counts_rarest:
        return _expand(fold_ids, truth, there, labels)
    key = there.tobytes() + (b"" if truth.fold_ids.ndim == 2 else fold_ids.tobytes())
    if key not in shared:
        shared[key] = _expand(fold_ids, truth, there, labels)
    return shared[key]


def _expand(
    fold_ids: npt.NDArray[np.integer],
    truth: TargetTruth,
    there: npt.NDArray[np.bool_],
    labels: Floats,
) -> Floats:
    """Covariance of all folds, in the order of scores; nan for those without patients."""
    n_folds = truth.n_folds
    tested = flag_folds(fold_ids[: max(1, MOST_FOLDS // n_folds)], n_folds)[:, there]
    return COVARIANCES[truth.kind](tested, labels[there])
