"""What may be said of the difference between two encoders. Pure: numpy in, numpy out.

Folds of repeated cross-validation share most of their training data, so their scores are not
independent; a plain t-test over them is far too sure (`python -m benchmarks.null_comparisons`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

_CELLS = 1 << 22
"""Counts held at once while bootstrapping; bounds memory, not the answer."""


@dataclass(frozen=True)
class TTest:
    """Two-sided test of a mean difference against zero; every field has the same shape."""

    difference: Floats
    statistic: Floats
    p: Floats
    low: Floats
    """Lower end of the interval that belongs to the test."""
    high: Floats


@dataclass(frozen=True)
class Interval:
    """An estimate with a percentile interval."""

    estimate: float
    low: float
    high: float


def corrected_t_test(
    differences: npt.ArrayLike, n_train: float, n_test: float, level: float = 0.95
) -> TTest:
    """Corrected resampled t-test over the folds of repeated cross-validation.

    t = mean / sqrt((1/J + n_test/n_train) * var), var with J - 1, t-distributed with J - 1 degrees
    of freedom: Nadeau and Bengio 2003, Machine Learning 52:239, doi 10.1023/A:1024068626366.

    Args:
        differences: (..., J) score of one minus score of the other, a fold each, same folds.
        n_train: Rows trained on in a fold.
        n_test: Rows judged in a fold.
        level: Of the interval.

    Returns:
        Fields of shape (...). Without any variance p is 1 for a zero difference, else 0.

    Raises:
        ValueError: Fewer than two folds, or no rows.
    """
    if not (n_train > 0 and n_test > 0):
        raise ValueError(f"n_train {n_train}, n_test {n_test}: wanted both above 0")
    return _t_test(np.asarray(differences, np.float64), n_test / n_train, level)


def plain_t_test(differences: npt.ArrayLike, level: float = 0.95) -> TTest:
    """Student's one-sample t-test as if folds were independent, which they are not.

    It stands beside the corrected one for comparison with publications that used it; see
    `corrected_t_test` for arguments and results (`scipy.stats.ttest_1samp` is the same).
    """
    return _t_test(np.asarray(differences, np.float64), 0.0, level)


def _t_test(differences: Floats, overlap: float, level: float) -> TTest:
    folds = differences.shape[-1] if differences.ndim else 0
    if folds < 2:
        raise ValueError(f"differences: {folds} folds, wanted 2 or more")
    mean = differences.mean(-1)
    spread = differences.var(-1, ddof=1)
    constant = np.ptp(differences, axis=-1) == 0  # rounding leaves a variance where there is none
    error = np.sqrt(np.where(constant, 0.0, spread) * (1 / folds + overlap))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where((mean == 0) & (error == 0), 0.0, mean / error)
    p = 2 * stats.t.sf(np.abs(statistic), folds - 1)
    reach = stats.t.ppf((1 + level) / 2, folds - 1) * error
    return TTest(mean, statistic, np.asarray(p), mean - reach, mean + reach)


def bootstrap_difference(
    differences: npt.ArrayLike,
    classes: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of a mean paired difference, over rows or over whole groups.

    With `classes` it is the mean over classes of each class's own mean: the difference in balanced
    accuracy where `differences` are those of being right. Percentile interval: Efron and
    Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; groups (clusters) are drawn
    whole: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8.
    It speaks of other rows or groups under the same trained heads, not of other training data.

    Args:
        differences: (N,) one minus the other, of the same row.
        classes: (N,) class of each row; every class then weighs the same.
        groups: (N,) patient or slide of each row; they are drawn in place of rows.
        resamples: How many.
        seed: Of the draws.
        level: Of the interval.

    Returns:
        The difference as observed, and its interval. A class that a resample lacks is left out of
        that resample's mean over classes.

    Raises:
        ValueError: Nothing to draw from.
    """
    values = np.asarray(differences, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"differences: shape {values.shape}, wanted (N,) with N above 0")
    which = np.zeros(len(values), int) if classes is None else _number(classes)
    units = np.arange(len(values)) if groups is None else _number(groups)
    count, columns = int(units.max()) + 1, int(which.max()) + 1
    cell = units * columns + which
    size = count * columns
    sums = np.bincount(cell, values, size).reshape(count, columns)
    rows = np.bincount(cell, minlength=size).reshape(count, columns).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _CELLS // count)
    for start in range(0, resamples, step):
        here = min(step, resamples - start)
        drawn = rng.integers(0, count, (here, count))
        drawn += np.arange(here)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=here * count).reshape(here, count)
        weights = times.astype(np.float64)
        means[start : start + here] = _mean_of_classes(weights @ sums, weights @ rows)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    (estimate,) = _mean_of_classes(sums.sum(0)[None], rows.sum(0)[None])
    return Interval(float(estimate), float(low), float(high))


def _mean_of_classes(sums: Floats, rows: Floats) -> Floats:
    """(R,) mean over the classes that are there, of each class's mean; both are (R, classes)."""
    there = rows > 0
    means = np.divide(sums, rows, out=np.zeros_like(sums), where=there)
    return np.asarray(means.sum(1) / there.sum(1))


def _number(names: npt.ArrayLike) -> npt.NDArray[np.intp]:
    return np.unique(np.asarray(names), return_inverse=True)[1]


def adjust_p(p: npt.ArrayLike) -> Floats:
    """q-values that control the false discovery rate over all of `p`.

    Benjamini and Hochberg 1995, J R Stat Soc B 57:289, by `scipy.stats.false_discovery_control`.

    Args:
        p: (M,) P values; nan where a test could not be made.

    Returns:
        (M,) q; nan stays nan and does not count as a test.
    """
    found = np.asarray(p, np.float64)
    there = ~np.isnan(found)
    q = np.full(found.shape, np.nan)
    if there.any():
        q[there] = stats.false_discovery_control(found[there])
    return q
