"""How well mutated patients were told from others, target by target. Pure.

A patient without a label or a prediction of a target is left out for that target.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from histo_ray.learn.statistics.correlation import rank_columns

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating]


class Placements(NamedTuple):
    """DeLong's structural components: how each patient stands among those of the other class."""

    positives: Floats
    """(m,) share of the negatives that a positive lies above; ties count half."""
    negatives: Floats
    """(n,) share of the positives that lie above a negative."""


@dataclass(frozen=True)
class AreaTest:
    """An AUROC minus 0.5, or the difference of two, against zero."""

    difference: float
    error: float
    """Its standard error."""
    p: float
    """Two-sided, normal."""
    low: float
    high: float


def score_auroc(truth: Values, predicted: Values) -> Floats:
    """Area under the ROC curve by ranks; `sklearn.metrics.roc_auc_score`, all targets at once.

    Mann and Whitney 1947, Ann Math Stat 18:50; ties count half: Bamber 1975, J Math Psychol 12:387.

    Args:
        truth: (P, T) 0 or 1; nan: no label.
        predicted: (P, T) higher for positives; nan: not predicted.

    Returns:
        (T,); nan where a class is missing.
    """
    positive, negative, scores = _split(truth, predicted)
    m, n = positive.sum(0), negative.sum(0)
    ranks = np.where(positive, rank_columns(scores), 0.0).sum(0)
    pairs = (m * n).astype(np.float64)
    above = ranks - m * (m + 1) / 2
    share = np.divide(above, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return np.asarray(share)


def score_auprc(truth: Values, predicted: Values) -> Floats:
    """Average precision; `sklearn.metrics.average_precision_score`, all targets at once.

    Sum over thresholds of the gain in recall times the precision there, without interpolation.
    Arguments and result as of `score_auroc`.
    """
    positive, negative, scores = _split(truth, predicted)
    found = np.full(scores.shape[1], np.nan)
    for target in np.flatnonzero(positive.any(0) & negative.any(0)):
        some = positive[:, target] | negative[:, target]
        hits, calls = _count_calls(positive[some, target], scores[some, target])
        gains = np.diff(hits, prepend=0)
        found[target] = (gains * hits / calls).sum() / hits[-1]
    return found


def place_classes(truth: Values, predicted: Values) -> Placements:
    """DeLong's components of one target, averaged over repeats.

    By ranks: Sun and Xu 2014, IEEE Signal Process Lett 21:1389, doi 10.1109/LSP.2014.2337313. The
    mean over repeats of AUROCs is a contrast of correlated areas, whose components are the means.

    Args:
        truth: (P,) 0 or 1; nan: no label.
        predicted: (R, P); who is nan in any repeat is left out.
    """
    kept = ~np.isnan(truth) & ~np.isnan(predicted).any(0)
    positive = truth[kept] > 0
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        raise ValueError(f"truth: {m} positives and {n} negatives, needs both")
    scores = predicted[:, kept].T  # (P, R)
    ranks = rank_columns(scores)
    above = (ranks[positive] - rank_columns(scores[positive])) / n
    below = (ranks[~positive] - rank_columns(scores[~positive])) / m
    return Placements(above.mean(1), 1 - below.mean(1))


def delong_test(one: Placements, other: Placements | None = None, level: float = 0.95) -> AreaTest:
    """Is an AUROC other than that of another on the same patients, or than 0.5?

    DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837, doi 10.2307/2531595. It speaks of
    other patients under the same trained heads; out-of-fold predictions of different folds come
    from different ones, which it does not know.

    Args:
        one: From `place_classes`.
        other: Of the same patients and labels; it is subtracted. None: 0.5 is.
        level: Of the interval.

    Returns:
        p is 1 if both are the same everywhere, and nan with fewer than two of a class.
    """
    above, below = one.positives, one.negatives
    if other is not None:
        above, below = above - other.positives, below - other.negatives
    difference = float(above.mean()) - (0.5 if other is None else 0.0)
    if min(len(above), len(below)) < 2:
        return AreaTest(difference, *[float("nan")] * 4)
    error = float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    z = abs(difference) / error if error > 0 else (np.inf if difference else 0.0)
    p = 2 * float(stats.norm.sf(z))
    return AreaTest(difference, error, p, difference - reach, difference + reach)


def _split(
    truth: Values, predicted: Values
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Floats]:
    """Positives, negatives (P, T), and predictions that are nan for all others."""
    if truth.shape != predicted.shape or truth.ndim != 2:
        raise ValueError(
            f"truth {truth.shape}, predicted {predicted.shape}: must have the same shape (P, T)"
        )
    there = ~(np.isnan(truth) | np.isnan(predicted))
    positive = there & (truth > 0)
    scores = np.where(there, predicted, np.nan).astype(np.float64)
    return positive, there & ~positive, scores


def _count_calls(
    positive: npt.NDArray[np.bool_], scores: Floats
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """True positives and all calls at each distinct threshold, highest first."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))  # nan: differs from all
    return np.asarray(np.cumsum(positive[order])[last], np.intp), last + 1
