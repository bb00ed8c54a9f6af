"""Interval of a cross-validated score, from what a bootstrap with fixed heads can see. Pure.

What is covered is the expected score, on new patients, of heads trained on as many patients as the
training part of a fold has. A bootstrap of out-of-fold predictions with the heads held fixed sees
a patient in one role only, that of being tested. Each patient also trains the heads that test all
others, so the score varies more than such a bootstrap says (Bengio and Grandvalet 2004, JMLR
5:1089; Bates, Hastie and Tibshirani 2023, J Am Stat Assoc 119:1434, doi
10.1080/01621459.2023.2197686). By how much depends on how far predictions are noise of the
training part, which repeats show: see `variance_inflation`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from histo_ray.learn.statistics.draws import Resampled
from histo_ray.learn.statistics.proportions import wilson_interval
from histo_ray.learn.statistics.score_scale import ScoreScale

Floats = npt.NDArray[np.float64]


class IntervalEnds(NamedTuple):
    """Both ends of intervals, (T,) each; nan where there is none."""

    low: Floats
    high: Floats


def score_interval(
    resampled: Resampled,
    scale: ScoreScale,
    inflation: npt.ArrayLike,
    units: npt.ArrayLike,
    level: float = 0.95,
) -> IntervalEnds:
    """Interval of scores from the standard error of their bootstrap, normal on a scale.

    inverse(forward(score) -+ z * slope(score) * error * sqrt(inflation)), by the delta method.

    Args:
        resampled: (T,) scores and their bootstrap with fixed heads.
        scale: On which the score is near to normal.
        inflation: (T,) variance of the score over that of the bootstrap.
        units: (T,) independent units, of the rarer class where there are classes. They alone bound
            a score at the end of its scale, of which no resample differs: the other end of the
            interval is then Wilson's (1927, J Am Stat Assoc 22:209) of as many out of as many.
        level: Of the interval.

    Returns:
        nan where no resample has a score, or where all have the same within the scale.
    """
    score, error = resampled.score, resampled.error
    z = float(stats.norm.ppf((1 + level) / 2))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        reach = z * scale.slope(score) * error * np.sqrt(inflation)
        reach = np.where(error > 0, reach, np.nan)
        middle = scale.forward(score)
        low, high = scale.inverse(middle - reach), scale.inverse(middle + reach)
    count = np.broadcast_to(units, score.shape)
    for at in np.flatnonzero((score <= scale.lowest) | (score >= scale.highest)):
        if np.isnan(error[at]) or count[at] < 1:
            low[at] = high[at] = np.nan
            continue
        size, top = int(count[at]), score[at] >= scale.highest
        wilson = wilson_interval(size if top else 0, size, level)
        span = scale.highest - scale.lowest
        low[at] = scale.lowest + span * wilson.low
        high[at] = scale.lowest + span * wilson.high
    return IntervalEnds(low, high)


def variance_inflation(noise: npt.ArrayLike) -> Floats:
    """Variance of a cross-validated score over that of its bootstrap with fixed heads.

    For a head that is linear in the labels a score is a sum of kernel terms over pairs of a
    training and a test patient. Without signal every pair counts in both directions and fixed heads
    see half of the variance: 2 (our derivation, as for the correlation of folds in
    `corrected_t_test`). With signal a patient's own part of the score is that as tested, plus
    `noise` times the same as trained on, since the length of the predictions takes up the rest:
    (1 - noise) * (1 + noise)^2 + 2 * noise, which falls to 1 where training patients no longer
    matter. `python -m benchmarks.coverage` holds it against simulations.

    Args:
        noise: Share of the predictions' variance that other training parts would change, as
            `prediction_noise` estimates it; nan: not known, taken as 1.
    """
    share = np.clip(np.nan_to_num(np.asarray(noise, np.float64), nan=1.0), 0.0, 1.0)
    return np.asarray((1 - share) * (1 + share) ** 2 + 2 * share)


def prediction_noise(predicted: npt.NDArray[np.floating], overlap: npt.ArrayLike) -> Floats:
    """Share of the predictions' variance that other training parts would change.

    Training parts of two repeats differ in a share n_test / n of their patients, so predictions of
    the same patient differ by that share of their noise: it is 1 less the mean correlation between
    repeats, times n / n_test.

    Args:
        predicted: (R, P, T); nan: not predicted.
        overlap: (T,) n / n_test, patients over those tested in a fold.

    Returns:
        (T,) from 0 to 1; nan with fewer than two repeats, or where predictions are constant.
    """
    there = ~np.isnan(predicted)
    count = np.maximum(there.sum(1, keepdims=True), 1)
    filled = np.where(there, predicted, np.float32(0))
    centred = np.where(there, filled - filled.sum(1, keepdims=True) / count, np.float32(0))
    length = np.sqrt((centred**2).sum(1))  # (R, T)
    inverse = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    repeats = (length > 0).sum(0)
    total = np.einsum("rpt,rt->pt", centred, inverse)
    squares = np.asarray((total**2).sum(0), np.float64)
    pairs = np.where(repeats > 1, repeats * (repeats - 1), np.nan)
    alike = (squares - repeats) / pairs
    return np.asarray(np.clip((1 - alike) * np.asarray(overlap, np.float64), 0.0, 1.0))
