"""Scores of a group of patients from out-of-fold predictions, without comparing folds. Pure.

Predictions of different folds come from different heads, so they are not on one scale, and a group
of a few patients has too few in a fold for a score of each fold. So patients are compared within
folds alone, and these comparisons are pooled over folds and repeats: pairs of a positive and a
negative patient (the AUROC stratified by fold: Janes and Pepe 2009, Biometrika 96:371), or
deviations from the mean of the group's patients in the fold (as `correlate_within`).

Standard errors come from each patient's influence on the score, with heads held fixed (the
jackknife: Efron and Tibshirani 1993, chapter 11; of an AUROC of one fold it is DeLong's).
`widen_error` adds what other training patients would change.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from histo_ray.learn.statistics.area_interval import area_interval
from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.ranking import Placements
from histo_ray.types.signed_times import split_times

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating]
Ids = npt.NDArray[np.integer]

_CELLS = 1 << 21
"""Pairs of patients and repeats held at once; bounds memory, not the result."""
_REACH = float(stats.norm.ppf(0.975))
FEWEST_CLUSTERS = 5
"""Groups of patients that are kept together below which there is no interval, as `FEWEST_UNITS`."""


class PooledScore(NamedTuple):
    """A score, and how much each patient bears on it."""

    score: float
    """nan: no two patients can be compared."""
    influence: Floats
    """(P,) that add up to 0; their squares add up to the variance with heads held fixed."""


def pool_auroc(truth: Values, predicted: Values, fold_ids: Ids) -> PooledScore:
    """Share of pairs of one fold in which the positive is predicted higher, ties counted half.

    Args:
        truth: (P,) 0 or 1; nan: no label.
        predicted: (R, P) higher for positives; nan: not predicted.
        fold_ids: (R, P) fold of each patient; below 0: in none.
    """
    there = ~np.isnan(truth)
    up, down = np.flatnonzero(there & (truth > 0)), np.flatnonzero(there & (truth <= 0))
    right, count = _compare_pairs(predicted, fold_ids, up, down)
    influence, total = np.zeros(len(truth)), count.sum()
    if not total:
        return PooledScore(np.nan, influence)
    score = float(right.sum() / total)
    for rows, axis in ((up, 1), (down, 0)):
        own = (right.sum(axis) - score * count.sum(axis)) / total
        influence[rows] = own * np.sqrt(len(rows) / max(1, len(rows) - 1))
    return PooledScore(score, influence)


def pool_concordance(truth: Values, predicted: Values, fold_ids: Ids) -> PooledScore:
    """Share of pairs of one fold whose order is known in which the earlier has the higher risk.

    Harrell's C stratified by fold; equal risks count half.

    Args:
        truth: (P,) signed times (`types.signed_times`); nan: no label.
        predicted: (R, P) higher for earlier events; nan: not predicted.
        fold_ids: (R, P) fold of each patient; below 0: in none.
    """
    there = np.flatnonzero(~np.isnan(truth))
    times, events = split_times(truth[there])
    first = np.flatnonzero(events)
    known = (times[first, None] < times) | ((times[first, None] == times) & ~events)
    right, count = _compare_pairs(predicted, fold_ids, there[first], there)
    right, count = right * known, count * known
    influence, total = np.zeros(len(truth)), count.sum()
    if not total:
        return PooledScore(np.nan, influence)
    score = float(right.sum() / total)
    own = (right - score * count) / total
    np.add.at(influence, there[first], own.sum(1))
    np.add.at(influence, there, own.sum(0))
    return PooledScore(score, influence * np.sqrt(len(there) / max(1, len(there) - 1)))


def pool_pearson(
    truth: Values, predicted: Values, fold_ids: Ids, groups: Ids
) -> tuple[Floats, Floats]:
    """Correlation about the means of a group's patients in a fold, pooled over folds and repeats.

    Predictions are divided by the standard deviation of all predictions of their fold first, as
    heads of different folds shrink unequally.

    Args:
        truth: (P, T); nan: no label.
        predicted: (R, P, T); nan: not predicted.
        fold_ids: (R, P) fold of each patient; below 0: in none.
        groups: (P,) number of each patient's group, from 0; below 0: in none.

    Returns:
        (G, T) score, nan where either is constant in all folds of the group; (P, T) influence of
        each patient on its group's score, see `PooledScore`: of the jackknife that leaves out one
        patient, folds and heads held fixed.
    """
    sums, deleted = np.zeros((3, *truth.shape)), np.zeros((3, *truth.shape))
    count, unknown, labels = int(groups.max()) + 1, np.isnan(truth), truth.astype(np.float64)
    for one, ids in zip(predicted, fold_ids, strict=True):
        value = _standardise(one, ids)
        missing = np.isnan(value) | unknown | ((ids < 0) | (groups < 0))[:, None]
        cells = np.where(groups < 0, -1, ids * count + groups)
        a, b = (
            _centre(np.where(missing, np.nan, v) if missing.any() else v, cells)
            for v in (labels, value)
        )
        factor = _deletion_factor(missing, cells)
        for at, product in enumerate((a * b, a * a, b * b)):
            sums[at] += product
            deleted[at] += factor * product
    marks = (groups == np.arange(count)[:, None]).astype(np.float64)  # (G, P)
    whole = np.stack([marks @ part for part in sums])  # (3, G, T)
    own = np.maximum(groups, 0)
    there = (groups >= 0)[:, None] & (sums[1] > 0)
    without = _correlate(whole[:, own] - deleted)
    without[~there | np.isnan(without)] = 0.0
    there &= without != 0
    people = np.maximum(marks @ there, 1)
    mean = (marks @ without) / people
    influence = np.where(there, (mean[own] - without) * np.sqrt((people - 1) / people)[own], 0.0)
    return _correlate(whole), influence


def measure_error(influence: Floats, clusters: Ids | None = None) -> float:
    """Standard error from influences, heads held fixed.

    Args:
        influence: (P,).
        clusters: (P,) what is kept in one fold together, and is independent of the others; None:
            each patient. Where all are of one cluster, as the patients of a site, it speaks of
            other patients of that cluster.

    Returns:
        nan with fewer than `FEWEST_CLUSTERS` clusters, but for one.
    """
    if clusters is None or len(np.unique(clusters)) == 1:
        return float(np.sqrt((influence**2).sum()))
    names, which = np.unique(clusters, return_inverse=True)
    if len(names) < FEWEST_CLUSTERS:
        return float("nan")
    sums = np.bincount(which, influence)
    return float(np.sqrt((sums**2).sum() * (len(names) / (len(names) - 1))))


def widen_error(error: float, share: float) -> float:
    """Add to a standard error with fixed heads what other training patients would change.

    A linear head without signal scores a sum over pairs of a tested and a training patient, with
    the sign of both labels. A pair within the group is counted twice, once each way, and one with a
    patient outside of it once; fixed heads see the variance as if all were counted once. So the
    variance is 1 + share times as large: twice for the whole cohort.

    Args:
        error: With heads held fixed.
        share: Of the patients that heads are trained on, those that belong to the group.
    """
    return error * float(np.sqrt(1 + share))


def area_ends(area: float, error: float, counts: tuple[int, int], share: float) -> Interval:
    """95 % interval of a pooled AUROC, on the logit scale.

    Args:
        area: As observed.
        error: From `measure_error`.
        counts: Positives and negatives.
        share: See `widen_error`.

    Returns:
        nan ends without an error. Where classes are wholly apart it is Newcombe's, made wider.
    """
    if np.isnan(area) or np.isnan(error):
        return Interval(area, np.nan, np.nan)
    if error <= 0 or not 0 < area < 1:
        level = 2 * float(stats.norm.cdf(widen_error(_REACH, share))) - 1
        ends = area_interval(Placements(*(np.full(n, area) for n in counts)), level)
        return Interval(area, ends.low, ends.high)
    away = _REACH * widen_error(error, share) / (area * (1 - area))
    low, high = special.expit(special.logit(area) + np.array([-away, away]))
    return Interval(area, float(low), float(high))


def correlation_ends(r: float, error: float, count: int, share: float) -> Interval:
    """95 % interval of a pooled correlation, on the scale of Fisher's z; arguments as above."""
    if np.isnan(r) or np.isnan(error) or abs(r) >= 1:
        return Interval(r, np.nan, np.nan)
    away = _reach_of_t(max(1, count - 2))
    away *= widen_error(error, share) / (1 - r**2)
    low, high = np.tanh(np.arctanh(r) + np.array([-away, away]))
    return Interval(r, float(low), float(high))


@lru_cache
def _reach_of_t(df: int) -> float:
    """97.5 % point of Student's t, which thousands of targets of a group share."""
    return float(stats.t.ppf(0.975, df))


def _compare_pairs(
    predicted: Values, fold_ids: Ids, up: npt.NDArray[np.intp], down: npt.NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """(m, n) how often each pair is of one fold, and is then in the right order."""
    right, count = np.zeros((len(up), len(down))), np.zeros((len(up), len(down)))
    if not count.size:
        return right, count
    step = max(1, _CELLS // count.size)
    for start in range(0, len(predicted), step):
        some, ids = predicted[start : start + step], fold_ids[start : start + step]
        known = (ids >= 0) & ~np.isnan(some)
        one, other = np.where(known, ids, -1)[:, up], np.where(known, ids, -2)[:, down]
        same = one[:, :, None] == other[:, None, :]
        a, b = some[:, up, None], some[:, None, down]
        right += (same & (a > b)).sum(0) + (same & (a == b)).sum(0) / 2
        count += same.sum(0)
    return right, count


def _standardise(predicted: Values, ids: Ids) -> Floats:
    """(P, T) over the standard deviation of its fold; nan where a fold predicts one value."""
    scaled = np.full(predicted.shape, np.nan)
    for fold in np.unique(ids[ids >= 0]):
        rows = np.flatnonzero(ids == fold)
        some = predicted[rows].astype(np.float64)
        known = ~np.isnan(some)
        filled = some if known.all() else np.where(known, some, 0.0)
        count = np.maximum(known.sum(0), 1)
        away = np.where(known, some - filled.sum(0) / count, 0.0)
        size = np.sqrt(np.einsum("pt,pt->t", away, away) / count)
        apart = size > 1e-12 * np.abs(filled).max(0)
        scaled[rows] = np.divide(some, size, out=np.full(some.shape, np.nan), where=apart)
    return scaled


def _correlate(sums: Floats) -> Floats:
    """Correlation from (3, ...) sums of products and of both squares; nan where one is constant."""
    known = (sums[1] > 0) & (sums[2] > 0)
    scale = np.sqrt(np.where(known, sums[1] * sums[2], 1.0))
    return np.asarray(np.where(known, np.clip(sums[0] / scale, -1, 1), np.nan))


def _deletion_factor(missing: npt.NDArray[np.bool_], cells: Ids) -> Floats:
    """Factor n / (n - 1) of each patient's cell of n, (P, T) or (P, 1).

    So much more than its own product of deviations a sum loses when a patient is left out, as the
    cell's mean moves, too.
    """
    _, which = np.unique(cells, return_inverse=True)
    if not missing.any():
        sizes = np.bincount(which)[which][:, None].astype(np.float64)
    else:
        marks = (which == np.arange(which.max() + 1)[:, None]).astype(np.float64)
        sizes = (marks @ ~missing)[which]
    return np.divide(sizes, sizes - 1, out=np.zeros(sizes.shape), where=sizes > 1)


def _centre(values: Floats, ids: Ids) -> Floats:
    """(P, T) less the mean of its cell, 0 where missing; a cell that is constant is 0."""
    order = np.argsort(ids, kind="stable")
    _, starts, which = np.unique(ids[order], return_index=True, return_inverse=True)
    ordered = values[order]
    known = ~np.isnan(ordered)
    if known.all():
        counts = np.diff(starts, append=len(ids))[:, None]
    else:
        ordered = np.where(known, ordered, 0.0)
        counts = np.maximum(np.add.reduceat(known, starts, axis=0, dtype=np.float64), 1)
    means = np.add.reduceat(ordered, starts, axis=0) / counts
    away = ordered - means[which]
    away[~known | (np.abs(away) <= 1e-12 * np.abs(ordered))] = 0.0  # or rounding of equal values
    centred = np.empty_like(away)
    centred[order] = away
    return centred
