"""Tests over the fold scores of expression and mutation, for few and for many patients. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.outcome_truth import Floats, OutcomeTruth
from histo_ray.learn.statistics import (
    MOST_FOLDS,
    corrected_t_test,
    count_covariance,
    count_orders,
    flag_folds,
    fold_t_test,
    label_covariance,
)
from histo_ray.learn.statistics.resampled import Alternative

FEWEST_ORDERS = 1000
"""Different orders of the labels below which no permutation P value is given."""
NULL_VARIANCE = {"expression": 1.0, "mutation": 1 / 12}
"""Variance under chance of a correlation, times n - 1, and of an AUROC, times n of both classes
over their product: the limits for many patients of a fold."""


class FoldTest(NamedTuple):
    """P values and degrees of freedom; both (T,), nan where no test is possible."""

    p: Floats
    df: Floats


def test_above_chance(truth: OutcomeTruth, above: Floats) -> FoldTest:
    """One-sided test of fold scores.

    Args:
        truth: What is known.
        above: (R, F, T) score less that of a guess; nan where a fold has none.
    """
    return _test(truth, above, "greater")


def test_difference(truth: OutcomeTruth, differences: Floats) -> FoldTest:
    """Two-sided test of the differences between two encoders; arguments as `test_above_chance`."""
    return _test(truth, differences, "two-sided")


test_above_chance.__test__ = test_difference.__test__ = False  # type: ignore[attr-defined]


def too_few_orders(truth: OutcomeTruth) -> npt.NDArray[np.bool_]:
    """(T,) targets whose labels have too few different orders for a permutation test."""
    return np.asarray(count_orders(truth.values, truth.sites) < np.log(FEWEST_ORDERS))


def has_few_units(truth: OutcomeTruth, permuted: bool) -> bool:
    """Whether any P value or interval of a run depends on how few its units or orders are."""
    few = truth.support.few | truth.support.untested
    return bool(few.any() or (permuted and too_few_orders(truth).any()))


def degrees_of_freedom(truth: OutcomeTruth) -> Floats:
    """(T,) of the tests over folds, as far as each fold has a score; nan where there is none."""
    nothing = np.where(truth.counts.n_test > 0, 0.0, np.nan)
    return test_difference(truth, nothing).df


def _test(truth: OutcomeTruth, scores: Floats, alternative: Alternative) -> FoldTest:
    folds = scores.reshape(-1, scores.shape[-1]).T  # (T, J)
    found = corrected_t_test(
        folds, *truth.counts.sizes, alternative=alternative, correlation="chance"
    )
    p, df = found.p.copy(), found.df.copy()
    few = np.flatnonzero(truth.support.few)
    known = NULL_VARIANCE[truth.task] if alternative == "greater" else None
    shared: dict[bytes, Floats] = {}
    for target in few:
        p[target] = df[target] = np.nan
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
        p[target], df[target] = float(one.p), float(one.df)
    return FoldTest(p, df)


def _covariance(truth: OutcomeTruth, target: int, shared: dict[bytes, Floats]) -> Floats:
    """(J, J) of the folds of one target; the same for all that lack the same patients."""
    labels = truth.values[:, target]
    there = ~np.isnan(labels)
    parts = truth.parts[target] if truth.parts.ndim == 3 else truth.parts
    parts = np.where(there, parts, -1)
    if truth.task == "mutation":
        return _expand(parts, truth.n_folds, there, labels)
    key = there.tobytes()
    if key not in shared:
        shared[key] = _expand(parts, truth.n_folds, there, None)
    return shared[key]


def _expand(
    parts: npt.NDArray[np.integer],
    n_folds: int,
    there: npt.NDArray[np.bool_],
    labels: Floats | None,
) -> Floats:
    """Covariance of all folds, in the order of scores; nan for those without patients."""
    tested = flag_folds(parts[: max(1, MOST_FOLDS // n_folds)], n_folds)[:, there]
    if labels is None:
        return count_covariance(tested)
    return label_covariance(tested, labels[there])
