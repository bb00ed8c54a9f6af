"""How far a mean difference of tiles could be another: the bootstrap over rows or groups. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CELLS = 1 << 22
"""Counts held at once while bootstrapping; bounds memory, not the result."""


@dataclass(frozen=True)
class Interval:
    """An estimate with a percentile interval."""

    estimate: float
    low: float
    high: float


def bootstrap_difference(
    differences: npt.ArrayLike,
    classes: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of a mean paired difference, over rows or over whole groups.

    It speaks of other rows or groups under the same heads, and so of heads that have seen none of
    these rows. With `classes` it is the mean over classes of each class's own mean: the difference
    in balanced accuracy where `differences` are those of being right. Percentile interval: Efron
    and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; groups (clusters) are drawn
    whole: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8.

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
    estimate, means = resample_rows(differences, classes, groups, resamples, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def resample_rows(
    differences: npt.ArrayLike,
    classes: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, Floats]:
    """Mean over rows, or over classes of each class's mean, and the same in resamples.

    Arguments and errors as of `bootstrap_difference`.

    Returns:
        The mean as observed, and (B,) those of the resamples.
    """
    values = np.asarray(differences, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"differences: shape {values.shape}, must be (N,) with N above 0")
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
    (estimate,) = _mean_of_classes(sums.sum(0)[None], rows.sum(0)[None])
    return float(estimate), means


def _mean_of_classes(sums: Floats, rows: Floats) -> Floats:
    """(R,) mean over the classes that are there, of each class's mean; both are (R, classes)."""
    there = rows > 0
    means = np.divide(sums, rows, out=np.zeros_like(sums), where=there)
    return np.asarray(means.sum(1) / there.sum(1))


def _number(names: npt.ArrayLike) -> npt.NDArray[np.intp]:
    return np.unique(np.asarray(names), return_inverse=True)[1]
