"""How well values were predicted, target by target. Pure.

A patient without a label or a prediction of a target is left out for that target.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating]
Strata = npt.NDArray[np.integer]


def score_pearson(truth: Values, predicted: Values) -> Floats:
    """Product-moment correlation; `scipy.stats.pearsonr`, all targets at once.

    Args:
        truth: (P, T); nan: no label.
        predicted: (P, T); nan: not predicted.

    Returns:
        (T,); nan with fewer than two patients, or where either is constant.
    """
    one, other = _pair(truth, predicted)
    return _correlate(one, other, np.zeros(len(one), np.intp))


def score_spearman(truth: Values, predicted: Values) -> Floats:
    """Rank correlation, ties at their mean rank; `scipy.stats.spearmanr`, all targets at once.

    Arguments and result as of `score_pearson`.
    """
    one, other = _pair(truth, predicted)
    return _correlate(rank_columns(one), rank_columns(other), np.zeros(len(one), np.intp))


def score_r2(truth: Values, predicted: Values, reference: Values) -> Floats:
    """1 - SSE / SST, with SST about a mean that was known before: 0 is a guess, below 0 is worse.

    About the predicted patients' own mean it is `sklearn.metrics.r2_score`; that mean is not known
    beforehand, so even the best guess would be below 0.

    Args:
        truth: (P, T); nan: no label.
        predicted: (P, T); nan: not predicted.
        reference: (T,) or (P, T) mean of the training part; of each patient's fold where several
            folds are scored together.

    Returns:
        (T,); nan where no patient is predicted, or all lie at the reference.
    """
    one, other = _pair(truth, predicted)
    errors = np.nansum((one - other) ** 2, axis=0)
    total = np.nansum((one - reference) ** 2, axis=0)
    share = np.divide(errors, total, out=np.full(len(total), np.nan), where=total > 0)
    return np.asarray(1 - share)


def correlate_within(truth: Values, predicted: Values, strata: Strata) -> Floats:
    """Correlation about the means of strata: of both, each stratum's mean is taken away first.

    The pooled within-group correlation of the analysis of covariance (Snedecor and Cochran 1989,
    Statistical Methods, chapter 18). With folds as strata it is free of the bias of out-of-fold
    predictions, which rise where a fold's own labels are low, as its training part lacks them:
    given the training part, any order of the labels within a fold is as likely as any other if
    features say nothing of them, so the sum of products is 0 on average, however folds were drawn.

    Args:
        truth: (P, T); nan: no label.
        predicted: (P, T); nan: not predicted.
        strata: (P,) number of each patient's stratum; below 0: in none, and left out.

    Returns:
        (T,); nan where either is constant within all strata.
    """
    kept = np.flatnonzero(strata >= 0)
    one, other = _pair(truth[kept], predicted[kept])
    return _correlate(one, other, np.unique(strata[kept], return_inverse=True)[1])


def _pair(truth: Values, predicted: Values) -> tuple[Floats, Floats]:
    """Both in float64, nan where either is."""
    if truth.shape != predicted.shape or truth.ndim != 2:
        raise ValueError(
            f"truth {truth.shape}, predicted {predicted.shape}: must have the same shape (P, T)"
        )
    one, other = truth.astype(np.float64), predicted.astype(np.float64)
    missing = np.isnan(one) | np.isnan(other)
    if missing.any():
        one[missing] = other[missing] = np.nan
    return one, other


def mean_defined(scores: Values) -> Floats:
    """(T,) mean over repeats of (R, T); nan where no repeat has a score."""
    there = ~np.isnan(scores)
    count = there.sum(0)
    total = np.where(there, scores, 0.0).sum(0, dtype=np.float64)
    mean = np.divide(total, count, out=np.full(scores.shape[1], np.nan), where=count > 0)
    return np.asarray(mean)


def rank_columns(values: Values) -> Floats:
    """Mean ranks in each column, as `scipy.stats.rankdata`, which is called where there are ties.

    Args:
        values: (P, T); nan: missing.

    Returns:
        (P, T) from 1; nan where it was.
    """
    rows = np.ascontiguousarray(values.T)
    order = np.argsort(rows, axis=1)  # nan comes last
    ordered = np.take_along_axis(rows, order, axis=1)
    ranks = np.empty(rows.shape)
    np.put_along_axis(ranks, order, np.arange(1.0, rows.shape[1] + 1)[None], axis=1)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if tied.any():
        ranks[tied] = rankdata(rows[tied], axis=1, nan_policy="omit")
    if np.isnan(ordered[:, -1]).any():
        ranks[np.isnan(rows)] = np.nan
    return np.asarray(ranks.T)


def _correlate(one: Floats, other: Floats, strata: npt.NDArray[np.intp]) -> Floats:
    """(T,) both (P, T) with nan in the same places; strata numbered from 0."""
    there = ~np.isnan(one)
    a, b = (_centre(values, there, strata) for values in (one, other))
    products, squares = (np.einsum("pt,pt->t", *pair) for pair in ((a, b), (a, a)))
    scale = np.sqrt(squares * np.einsum("pt,pt->t", b, b))
    r = np.divide(products, scale, out=np.full(one.shape[1], np.nan), where=scale > 0)
    return np.asarray(np.clip(r, -1, 1))


def _centre(values: Floats, there: npt.NDArray[np.bool_], strata: npt.NDArray[np.intp]) -> Floats:
    """(P, T) less the mean of its stratum; 0 where missing, and where a stratum is constant."""
    order = np.argsort(strata, kind="stable")
    starts = np.flatnonzero(np.diff(strata[order], prepend=-1))
    centred = np.zeros_like(values)
    for rows in np.split(order, starts[1:]):
        some, known = values[rows], there[rows]
        if known.all():
            apart = some.max(0) > some.min(0)  # rounding leaves differences where there are none
            centred[rows] = np.where(apart, some - some.mean(0), 0.0)
            continue
        count = known.sum(0)
        filled = np.where(known, some, 0.0)
        apart = np.where(known, some, -np.inf).max(0) > np.where(known, some, np.inf).min(0)
        mean = filled.sum(0) / np.maximum(count, 1)
        centred[rows] = np.where(known & apart, filled - mean, 0.0)
    return centred
