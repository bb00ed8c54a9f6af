"""Tests over the folds of repeated cross-validation. Pure; any shape of leading axes at once.

Folds of repeated cross-validation share most of their training data, so their scores are not
independent; a plain t-test over them is far too sure (`python -m benchmarks.null_comparisons`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Alternative = Literal["two-sided", "greater"]
Correlation = Literal["training", "chance"]

FEWEST_UNITS = 5
"""Independent patients or groups below which no P value is given.

With fewer than about five clusters no test is reliable: Cameron and Miller 2015, J Hum Resour
50:317, section VI.
"""


@dataclass(frozen=True)
class TTest:
    """Test of a mean difference against zero; every field has the same shape."""

    difference: Floats
    statistic: Floats
    p: Floats
    low: Floats
    """Lower end of the two-sided interval that belongs to the test."""
    high: Floats
    df: Floats
    """Degrees of freedom."""


def corrected_t_test(
    differences: npt.ArrayLike,
    n_train: npt.ArrayLike,
    n_test: npt.ArrayLike,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    correlation: Correlation = "training",
) -> TTest:
    """Corrected resampled t-test over the folds of repeated cross-validation.

    t = mean / sqrt((1/J + c / (1 - c)) * var), var with J - 1, t-distributed with J - 1 degrees of
    freedom, where c is the correlation of two folds' scores: Nadeau and Bengio 2003, Machine
    Learning 52:239, doi 10.1023/A:1024068626366. They take c = n_test / n of n rows, as folds share
    training rows (so c / (1 - c) is n_test / n_train). Where features say nothing of labels, folds
    have more in common: a pair of rows that are alike by chance raises both the fold that tests
    the one and trains on the other, and the fold that does it the other way round. For a head
    linear in the labels, as ridge, scores are then sums of label x kernel x label over such pairs,
    and counting pairs gives c = 2 n_train n_test / n^2 over many repeats (our derivation;
    `python -m benchmarks.truth` shows both). With `greater` and AUROC - 0.5 in place of
    differences it asks for better than chance.

    Args:
        differences: (..., J) score of one minus score of the other, a fold each, same folds; nan
            where a fold has no score: it does not count among the J.
        n_train: Rows trained on in a fold; or (...).
        n_test: Rows tested in a fold; or (...).
        level: Of the interval.
        alternative: `greater` gives the one-sided P of a mean above 0.
        correlation: `training`: theirs; `chance`: larger, for scores that may be chance alone.

    Returns:
        Fields of shape (...); nan where fewer than two folds have a score. Without any variance p
        is 0 for a difference (`greater`: above 0), else 1.

    Raises:
        ValueError: Fewer than two folds, or no rows.
    """
    train, test = np.asarray(n_train, np.float64), np.asarray(n_test, np.float64)
    if not ((train > 0).all() and (test > 0).all()):
        raise ValueError(f"n_train {train}, n_test {test}: both must be above 0")
    share = test / (train + test)
    shared = share if correlation == "training" else 2 * share * (1 - share)
    overlap = shared / (1 - shared)
    return _t_test(np.asarray(differences, np.float64), overlap, level, alternative)


def plain_t_test(
    differences: npt.ArrayLike, level: float = 0.95, alternative: Alternative = "two-sided"
) -> TTest:
    """Student's one-sample t-test as if folds were independent, which they are not.

    It stands beside the corrected one for comparison with publications that used it; see
    `corrected_t_test` for arguments and results (`scipy.stats.ttest_1samp` is the same).
    """
    return _t_test(np.asarray(differences, np.float64), np.zeros(()), level, alternative)


def _t_test(differences: Floats, overlap: Floats, level: float, alternative: Alternative) -> TTest:
    given = differences.shape[-1] if differences.ndim else 0
    if given < 2:
        raise ValueError(f"differences: {given} folds, a test needs 2 or more")
    there = ~np.isnan(differences)
    folds = there.sum(-1)
    some = np.where(there, differences, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = some.sum(-1) / folds
        spread = (np.where(there, differences - mean[..., None], 0.0) ** 2).sum(-1) / (folds - 1)
        highest = np.where(there, differences, -np.inf).max(-1)
        lowest = np.where(there, differences, np.inf).min(-1)
        # rounding leaves a variance, and a mean beside the value, where there is none
        mean = np.where(highest == lowest, highest, mean)
        error = np.sqrt(np.where(highest == lowest, 0.0, spread) * (1 / folds + overlap))
        statistic = np.where((mean == 0) & (error == 0), 0.0, mean / error)
    if alternative == "greater":
        p = np.where((mean == 0) & (error == 0), 1.0, stats.t.sf(statistic, folds - 1))
    else:
        p = 2 * stats.t.sf(np.abs(statistic), folds - 1)
    reach = stats.t.ppf((1 + level) / 2, folds - 1) * error
    fields = (mean, statistic, np.asarray(p), mean - reach, mean + reach, folds - 1)
    return TTest(*(np.where(folds >= 2, field, np.nan) for field in fields))


def fold_t_test(
    differences: npt.ArrayLike,
    covariance: Floats,
    units: int,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    null_variance: float | None = None,
) -> TTest:
    """Corrected t-test with the covariance of these very folds, for few independent units.

    `corrected_t_test` takes one correlation for all pairs of folds and one degree of freedom for
    each fold. Where few groups, or few patients of a class, are put into folds again and again,
    folds repeat each other and both are wrong. Here t = mean / sqrt(k * var): k is the variance of
    the mean over the expected sample variance, and the degrees of freedom are those of the sample
    variance (Satterthwaite 1946, Biometrics Bull 2:110, doi 10.2307/3002019), both from
    `covariance`, and so from the distinct splits and the groups that folds are made of. A fold that
    is given twice changes neither.

    Args:
        differences: (..., J) score of one minus score of the other, or above chance, of each fold.
        covariance: (J, J) of the folds' scores up to a factor, from `fold_covariance`.
        units: Independent patients or groups.
        level: Of the interval.
        alternative: `greater` gives the one-sided P of a mean above 0.
        null_variance: Variance under chance for an entry of 1 in `covariance`, where it is known.
            It serves where all folds have the same score.

    Returns:
        Fields of shape (...). P, interval and degrees of freedom are nan with fewer than
        `FEWEST_UNITS` units, or where the folds' scores cannot vary. Without any observed variance
        P is 1 for a mean of 0, that of `null_variance` if it is given, else nan.

    Raises:
        ValueError: Fewer than two folds, a missing score, or arrays that do not fit.
    """
    scores = np.asarray(differences, np.float64)
    count = scores.shape[-1] if scores.ndim else 0
    if count < 2 or covariance.shape != (count, count) or np.isnan(scores).any():
        raise ValueError(
            f"differences {scores.shape}, covariance {covariance.shape}: two or more folds without "
            "missing scores are needed, and a covariance of these folds"
        )
    centred = covariance - covariance.mean(0)
    trace = float(np.trace(centred))
    free = trace**2 / max(float((centred * centred.T).sum()), 1e-300)
    if units < FEWEST_UNITS or not trace > 1e-9 * float(np.trace(covariance)):
        nothing = np.full(scores.shape[:-1], np.nan)
        return TTest(scores.mean(-1), *[nothing] * 5)
    of_mean = float(covariance.mean())
    equal = scores.max(-1) == scores.min(-1)
    mean = np.where(equal, scores[..., 0], scores.mean(-1))
    known = np.nan if null_variance is None else null_variance * of_mean
    variance = np.where(equal, known, scores.var(-1, ddof=1) * of_mean * (count - 1) / trace)
    error = np.sqrt(np.where(equal & (mean == 0), 0.0, variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(mean == 0, 0.0, mean / error)
    one_sided = stats.t.sf(statistic, free)
    p = one_sided if alternative == "greater" else 2 * stats.t.sf(np.abs(statistic), free)
    p = np.where(equal & (mean == 0), 1.0, np.where(np.isnan(error), np.nan, p))
    reach = stats.t.ppf((1 + level) / 2, free) * error
    return TTest(mean, statistic, p, mean - reach, mean + reach, np.full(mean.shape, free))
