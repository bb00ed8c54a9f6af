"""Scores of a fixed predictor of one target in resamples of patients. Pure.

Each function takes how often each patient is drawn, (B, N) from `draw_weights`, so that two
predictors are resampled together, and returns (B,) scores, nan where one is undefined.
"""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.bootstrap import Interval

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.floating]

_FLAT = 1e-12
"""Variance in a resample, as a share of that of all patients, below which it counts as none."""


def resample_mean(weights: Weights, values: Floats) -> Floats:
    """Mean of (N,) values in each resample."""
    return np.asarray(weights @ values / weights.sum(1), np.float64)


def resample_pearson(weights: Weights, one: Floats, other: Floats) -> Floats:
    """Product-moment correlation of two (N,) in each resample."""
    times = weights.astype(np.float64, copy=False)
    count = times.sum(1)
    x, y = one - one.mean(), other - other.mean()
    mean_x, mean_y = times @ x / count, times @ y / count
    var_x, var_y = times @ x**2 / count - mean_x**2, times @ y**2 / count - mean_y**2
    return _divide(
        times @ (x * y) / count - mean_x * mean_y, var_x, var_y, (x**2).mean(), (y**2).mean()
    )


def resample_spearman(weights: Weights, one: Floats, other: Floats) -> Floats:
    """Rank correlation of two (N,), ranked anew in each resample; a patient drawn twice is a tie.

    Ranks are those of `scipy.stats.rankdata` on the resample.
    """
    times = weights.astype(np.float64, copy=False)
    x, y = rank_resamples(times, one), rank_resamples(times, other)
    count = times.sum(1, keepdims=True)
    x -= (count + 1) / 2  # mean of ranks
    y -= (count + 1) / 2
    n = count[:, 0]
    full = (len(one) ** 2 - 1) / 12
    products = np.einsum("bn,bn,bn->b", times, x, y) / n
    var_x, var_y = (np.einsum("bn,bn,bn->b", times, v, v) / n for v in (x, y))
    return _divide(products, var_x, var_y, full, full)


def resample_r2(weights: Weights, truth: Floats, predicted: Floats) -> Floats:
    """1 - SSE / SST of (N,) about the resample's own mean, as `sklearn.metrics.r2_score`."""
    times = weights.astype(np.float64, copy=False)
    count = times.sum(1)
    centred = truth - truth.mean()
    errors = times @ (truth - predicted) ** 2 / count
    spread = times @ centred**2 / count - (times @ centred / count) ** 2
    varies = spread > _FLAT * (centred**2).mean()
    share = np.divide(errors, spread, out=np.full(len(count), np.nan), where=varies)
    return np.asarray(1 - share)


def rank_resamples(weights: Weights, values: Floats) -> Floats:
    """Mean rank, from 1, of each of (N,) values in each resample; (B, N), drawn or not."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    new = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    group = np.repeat(np.arange(len(new)), np.diff(np.r_[new, len(values)]))
    last = np.r_[new[1:], len(values)] - 1
    total = np.cumsum(weights[:, order], axis=1)
    upto = total[:, last]  # (B, groups)
    before = np.concatenate([np.zeros((len(weights), 1)), upto[:, :-1]], axis=1)
    ranks = np.empty(weights.shape)
    ranks[:, order] = ((before + upto + 1) / 2)[:, group]
    return ranks


def percentile_interval(estimate: float, draws: Floats, level: float = 0.95) -> Interval:
    """Percentile interval of (B,) draws (Efron and Tibshirani 1993, chapter 13).

    Returns:
        nan ends where fewer than half of the resamples have a score.
    """
    found = draws[~np.isnan(draws)]
    if np.isnan(estimate) or len(found) < max(1, len(draws) / 2):
        return Interval(estimate, np.nan, np.nan)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def _divide(products: Floats, var_x: Floats, var_y: Floats, full_x: float, full_y: float) -> Floats:
    """Correlation of each resample; nan where a variance is next to nothing."""
    varies = (var_x > _FLAT * full_x) & (var_y > _FLAT * full_y)
    spread = np.sqrt(np.where(varies, var_x * var_y, 1.0))
    return np.where(varies, products / spread, np.nan)
