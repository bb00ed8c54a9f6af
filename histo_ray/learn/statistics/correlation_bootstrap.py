"""How far correlations could be others with other patients. Pure; matrix products a fold."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.correlation import mean_defined, score_pearson
from histo_ray.learn.statistics.draws import Floats, Resampled, draw_weights

Weights = npt.NDArray[np.float32]

_CELLS = 1 << 19
"""Scores of resamples computed at once: bounds memory, not the result; 2 MiB stays in a cache."""
_FLAT = 1e-5
"""Variance in a resample, as a share of that of all patients, below which it counts as none."""


def bootstrap_correlation(
    truth: Floats,
    predicted: npt.NDArray[np.floating],
    resamples: int = 1000,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    fold_ids: npt.NDArray[np.integer] | None = None,
    by_fold: Floats | None = None,
) -> Resampled:
    """Mean over repeats and folds of the correlation within a fold, and in resamples of patients.

    All repeats of a patient are drawn together. Speaks of other patients under the same trained
    heads, not of other training data. Correlations in resamples are computed in float32 about the
    observed means, correct to about 1e-5.

    Args:
        truth: (P, T); nan: no label.
        predicted: (R, P, T); nan: not predicted.
        resamples: How many, B.
        seed: Of the draws; the same for encoders that are to be compared.
        groups: (P,) drawn whole in place of patients.
        fold_ids: (R, P) fold of each patient, below 0: in none; None: a repeat is one fold.
        by_fold: (R, F, T) correlation of each fold, where it is known; None: it is computed.

    Returns:
        (T,) scores; folds in which the correlation is undefined do not count.
    """
    folds = list(_list_folds(predicted.shape[:2], fold_ids))
    weights = draw_weights(len(truth), resamples, seed, groups)
    draws = np.empty((resamples, truth.shape[1]), np.float32)
    step = targets_at_once(resamples)
    for start in range(0, truth.shape[1], step):
        some = slice(start, start + step)
        draws[:, some] = _resample(weights, truth[:, some], predicted[:, :, some], folds)
    if by_fold is None:
        scores = [score_pearson(truth[rows], predicted[repeat, rows]) for repeat, rows in folds]
        by_fold = np.stack(scores)
    return Resampled(mean_defined(by_fold.reshape(-1, truth.shape[1])), draws)


def targets_at_once(resamples: int) -> int:
    """Count the targets whose resamples are drawn in one go."""
    return max(1, _CELLS // resamples)


def _list_folds(
    shape: tuple[int, ...], fold_ids: npt.NDArray[np.integer] | None
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Repeat and patients of each fold."""
    repeats, count = shape
    for repeat in range(repeats):
        if fold_ids is None:
            yield repeat, np.arange(count)
            continue
        for fold in range(int(fold_ids.max()) + 1):
            yield repeat, np.flatnonzero(fold_ids[repeat] == fold)


def _resample(
    weights: Weights,
    truth: Floats,
    predicted: npt.NDArray[np.floating],
    folds: Sequence[tuple[int, npt.NDArray[np.intp]]],
) -> Weights:
    """(B, T) mean over folds of the weighted correlation."""
    shape = (len(weights), truth.shape[1])
    total, defined = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for repeat, rows in folds:
        one, other, drawn = truth[rows], predicted[repeat, rows], weights[:, rows]
        there = ~(np.isnan(one) | np.isnan(other))
        x, y = _standardise(one, there), _standardise(other, there)
        count = drawn.sum(1)[:, None] if there.all() else drawn @ there.astype(np.float32)
        inverse = np.divide(1, count, out=np.zeros_like(count), where=count > 0)
        mean_x, mean_y = drawn @ x, drawn @ y
        products = drawn @ (x * y) - mean_x * mean_y * inverse
        spread = _spread(drawn, x, mean_x, count, inverse)
        spread *= _spread(drawn, y, mean_y, count, inverse)
        varies = spread > 0
        np.sqrt(spread, out=spread)
        products /= np.where(varies, spread, np.float32(np.inf))
        total += products
        defined += varies
    total[defined == 0] = np.nan
    defined[defined == 0] = 1
    mean: Weights = total / defined
    return mean


def _spread(
    drawn: Weights, values: Weights, mean: Weights, count: Weights, inverse: Weights
) -> Weights:
    """(B, T) sum of squares about the resample's mean; 0 where it is next to nothing."""
    spread: Weights = drawn @ (values * values) - mean * mean * inverse
    spread[spread < _FLAT * count] = 0
    return spread


def _standardise(values: npt.NDArray[np.floating], there: npt.NDArray[np.bool_]) -> Weights:
    """(P, T) with mean 0 and variance 1 among those that are there; 0 elsewhere, or if constant."""
    filled = np.where(there, values, 0.0).astype(np.float64, copy=False)
    count = np.maximum(there.sum(0), 1)
    highest = np.where(there, values, -np.inf).max(0)
    apart = highest > np.where(there, values, np.inf).min(0)
    centred = np.where(there, filled - filled.sum(0) / count, 0.0)
    sd = np.sqrt((centred**2).sum(0) / count)
    inverse = np.divide(1, sd, out=np.zeros_like(sd), where=apart & (sd > 0))
    return np.asarray(centred * inverse, np.float32)
