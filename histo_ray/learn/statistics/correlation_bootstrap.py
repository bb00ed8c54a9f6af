"""How far correlations could be others with other patients. Pure; a matrix product a repeat."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.correlation import mean_defined, score_pearson
from histo_ray.learn.statistics.draws import Floats, Resampled, draw_weights

Weights = npt.NDArray[np.float32]

_CELLS = 1 << 19
"""Scores of resamples computed at once: bounds memory, not the answer; 2 MiB stays in a cache."""
_FLAT = 1e-5
"""Variance in a resample, as a share of that of all patients, below which it counts as none."""


def score_repeats(truth: Floats, predicted: npt.NDArray[np.floating]) -> Floats:
    """Mean over repeats of the correlation over all out-of-fold predictions of a repeat.

    Args:
        truth: (P, T); nan: no label.
        predicted: (R, P, T); nan: not judged.

    Returns:
        (T,); repeats in which it is undefined do not count.
    """
    return mean_defined(np.stack([score_pearson(truth, repeat) for repeat in predicted]))


def bootstrap_correlation(
    truth: Floats,
    predicted: npt.NDArray[np.floating],
    resamples: int = 1000,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> Resampled:
    """`score_repeats`, and the same in resamples of patients.

    All repeats of a patient are drawn together. Speaks of other patients under the same trained
    heads, not of other training data. Correlations in resamples are computed in float32 about the
    observed means, correct to about 1e-5.

    Args:
        truth: (P, T); nan: no label.
        predicted: (R, P, T); nan: not judged.
        resamples: How many, B.
        seed: Of the draws; the same for encoders that are to be compared.
        groups: (P,) drawn whole in place of patients.
    """
    weights = draw_weights(len(truth), resamples, seed, groups)
    draws = np.empty((resamples, truth.shape[1]), np.float32)
    step = max(1, _CELLS // resamples)
    for start in range(0, truth.shape[1], step):
        some = slice(start, start + step)
        draws[:, some] = _resample(weights, truth[:, some], predicted[:, :, some])
    return Resampled(score_repeats(truth, predicted), draws)


def _resample(weights: Weights, truth: Floats, predicted: npt.NDArray[np.floating]) -> Weights:
    """(B, T) mean over repeats of the weighted correlation."""
    shape = (len(weights), truth.shape[1])
    total, defined = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    known: npt.NDArray[np.bool_] | None = None
    for repeat in predicted:
        there = ~(np.isnan(truth) | np.isnan(repeat))
        if known is None or not np.array_equal(there, known):
            known = there
            x = _standardise(truth, there)
            count = (
                weights @ there.astype(np.float32) if not there.all() else weights.sum(1)[:, None]
            )
            inverse = np.divide(1, count, out=np.zeros_like(count), where=count > 0)
            mean_x = weights @ x
            spread_x = weights @ (x * x) - mean_x * mean_x * inverse
            spread_x[spread_x < _FLAT * count] = 0
        y = _standardise(repeat, there)
        mean_y = weights @ y
        products = weights @ (x * y)
        spread_y = weights @ (y * y)
        products -= mean_x * mean_y * inverse
        mean_y *= mean_y
        mean_y *= inverse
        spread_y -= mean_y
        spread_y[spread_y < _FLAT * count] = 0
        spread_y *= spread_x
        varies = spread_y > 0
        np.sqrt(spread_y, out=spread_y)
        products /= np.where(varies, spread_y, np.float32(np.inf))
        total += products
        defined += varies
    total[defined == 0] = np.nan
    defined[defined == 0] = 1
    mean: Weights = total / defined
    return mean


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
