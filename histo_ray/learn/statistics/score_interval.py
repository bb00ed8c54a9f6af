"""Interval of a cross-validated score. Pure.

What is covered is the expected score, on new patients, of heads trained on as many patients as the
training part of a fold has. Each patient is tested, and also trains the heads that test all others,
so the score varies more than a bootstrap of out-of-fold predictions says, which holds the heads
fixed; folds' scores vary too, but have patients in common (Bengio and Grandvalet 2004, JMLR 5:1089;
Bates, Hastie and Tibshirani 2023, J Am Stat Assoc 119:1434, doi 10.1080/01621459.2023.2197686). By
how much either has to be corrected depends on how far predictions are noise of the training part,
which repeats show.

The corrections are our derivation, for a head that is linear in the labels. Its score is a sum over
pairs of a training and a test patient, and so has a part of each patient alone and a part of pairs.
Without signal there are pairs only. With signal a patient's own part is `a` as tested and
`noise * a` as trained on, since the length of the predictions takes up the rest. `noise`, the share
of the predictions' variance that other training parts would change, is also the share of pairs in
what the bootstrap sees. `python -m benchmarks.coverage` holds all of it against simulations.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from histo_ray.learn.statistics.proportions import wilson_interval
from histo_ray.learn.statistics.score_scale import ScoreScale

Floats = npt.NDArray[np.float64]


class IntervalEnds(NamedTuple):
    """Both ends of intervals, (T,) each; nan where there is none."""

    low: Floats
    high: Floats


class ScoreError(NamedTuple):
    """Standard error of scores and its degrees of freedom, (T,) each; nan where there is none."""

    error: Floats
    df: Floats


def estimate_error(
    bootstrap: Floats,
    folds: Floats,
    noise: Floats,
    share: npt.ArrayLike,
    units: npt.ArrayLike,
    kept: float = 1.0,
) -> ScoreError:
    """Estimate the standard error of scores from the bootstrap and from the scores of folds.

    The variance is the mean of two estimates of it: that of the bootstrap times
    `variance_inflation`, and that of the folds times 1 / J + `fold_overlap`. The first is too small
    in small folds, the second rests on few folds where there are few repeats. Degrees of freedom:
    Satterthwaite 1946, Biometrics Bull 2:110, doi 10.2307/3002019, from units - 1 and J - 1.

    Args:
        bootstrap: (T,) standard error with the heads held fixed.
        folds: (T, J) score of each fold; nan where it has none.
        noise: (T,) from `prediction_noise`; nan: not known, taken as 1.
        share: (T,) share of the patients that a fold tests.
        units: (T,) independent units that the bootstrap draws.
        kept: As `fold_overlap`.

    Returns:
        nan where the bootstrap has no error, or fewer than two folds have a score.
    """
    count = (~np.isnan(folds)).sum(1)
    enough = (count > 1) & ~np.isnan(bootstrap)
    known = np.maximum(count, 1)
    mean = np.nansum(folds, axis=1) / known
    spread = np.nansum((folds - mean[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1)
    one = bootstrap**2 * variance_inflation(noise)
    other = spread * (1 / known + fold_overlap(noise, share, kept))
    total = one + other
    rest = one**2 / np.maximum(np.asarray(units) - 1, 1) + other**2 / np.maximum(count - 1, 1)
    df = np.divide(total**2, rest, out=np.ones_like(total), where=rest > 0)
    return ScoreError(np.where(enough, np.sqrt(total / 2), np.nan), np.where(enough, df, np.nan))


def score_interval(
    score: Floats,
    estimate: ScoreError,
    scale: ScoreScale,
    units: npt.ArrayLike,
    level: float = 0.95,
) -> IntervalEnds:
    """Interval of scores from their standard error: Student's t on a scale.

    Args:
        score: (T,).
        estimate: From `estimate_error`, or of a test.
        scale: Of the score.
        units: (T,) independent units, of the rarer class where there are classes. They alone bound
            a score at the end of its scale, of which no resample differs: the other end of the
            interval is then Wilson's (1927, J Am Stat Assoc 22:209) of as many out of as many.
        level: Of the interval.

    Returns:
        nan where there is no error, or where it is 0 within the scale.
    """
    with np.errstate(invalid="ignore"):
        reach = stats.t.ppf((1 + level) / 2, estimate.df) * estimate.error
        low, high = scale.bound(score, np.where(estimate.error > 0, reach, np.nan))
    count = np.broadcast_to(units, score.shape)
    for at in np.flatnonzero((score <= scale.lowest) | (score >= scale.highest)):
        if np.isnan(estimate.error[at]) or count[at] < 1:
            low[at] = high[at] = np.nan
            continue
        size, top = int(count[at]), score[at] >= scale.highest
        wilson = wilson_interval(size if top else 0, size, level)
        low[at] = scale.lowest + scale.span * wilson.low
        high[at] = scale.lowest + scale.span * wilson.high
    return IntervalEnds(low, high)


def keep_to_test(
    ends: IntervalEnds,
    score: Floats,
    estimate: ScoreError,
    chance: float,
    level: float = 0.95,
) -> IntervalEnds:
    """Interval that leaves out chance where the two-sided P of the test is small, and only there.

    The test is that of score -+ t * error; with few units it is the very test against chance, as
    the error is. `score_interval` reaches further towards chance where a score is high. So an end
    of it may lie beyond chance where that of the test does not; it is then replaced by the end of
    the test. The converse does not happen: no scale leaves out chance, the middle of its range,
    where score -+ t * error includes it.

    Args:
        ends: From `score_interval` of the same score, error and level.
        score: (T,).
        estimate: As `score_interval`.
        chance: Score of a guess.
        level: Of the interval.
    """
    with np.errstate(invalid="ignore"):
        reach = stats.t.ppf((1 + level) / 2, estimate.df) * estimate.error
        low = np.where((ends.low <= chance) & (score - reach > chance), score - reach, ends.low)
        high = np.where((ends.high >= chance) & (score + reach < chance), score + reach, ends.high)
    return IntervalEnds(low, high)


def variance_inflation(noise: npt.ArrayLike) -> Floats:
    """Variance of a cross-validated score over that of its bootstrap with fixed heads.

    (1 - noise) * (1 + noise)^2 + 2 * noise. Without signal every pair of patients counts in both
    directions and fixed heads see half of the variance: 2, as in the correlation of folds in
    `corrected_t_test`. It falls to 1 where training patients no longer matter.

    Args:
        noise: Share from 0 to 1; nan: not known, taken as 1.
    """
    share = _known(noise)
    return np.asarray((1 - share) * (1 + share) ** 2 + 2 * share)


def fold_overlap(noise: npt.ArrayLike, share: npt.ArrayLike, kept: float = 1.0) -> Floats:
    """Variance of the mean over endlessly many folds over the variance of folds about it.

    With t tested and s = 1 - t trained on, folds vary about their mean by
    (1 - noise) * (s / t - 2 * noise + noise^2 * t / s) + noise * (1 / (t * s) - 2), in units in
    which their mean varies by `variance_inflation`. Without signal that is c / (1 - c) with
    c = 2 * t * s, and where training patients no longer matter with c = t, which are the two
    correlations of `corrected_t_test`.

    Args:
        noise: As `variance_inflation`.
        share: t, above 0 and below 1.
        kept: What scores keep of the correlation of sums where predictions are noise: 1 for
            correlations, `fold_covariance.DECIDED` for accuracies.
    """
    part, tested = _known(noise), np.asarray(share, np.float64)
    trained = 1 - tested
    alone = trained / tested - 2 * part + part**2 * tested / trained
    pairs = 1 / (tested * trained) - 2
    overlap = variance_inflation(part) / ((1 - part) * alone + part * pairs)
    shared = overlap / (1 + overlap) * (1 - part * (1 - kept))
    return np.asarray(shared / (1 - shared))


def prediction_noise(predicted: npt.NDArray[np.floating], share: npt.ArrayLike) -> Floats:
    """Share of the predictions' variance that other training parts would change.

    Training parts of two repeats differ in a share t of their patients, those that a fold tests, so
    predictions of the same patient differ by that share of their noise: it is 1 less the mean
    correlation between repeats, over t.

    Args:
        predicted: (R, P, T); nan: not predicted.
        share: (T,) share of the patients that a fold tests.

    Returns:
        (T,) from 0 to 1; nan with fewer than two repeats, or where predictions are constant.
    """
    total: Floats = np.zeros(predicted.shape[1:])
    repeats: Floats = np.zeros(predicted.shape[2])
    for one in predicted:  # a repeat at a time: it stays in a cache
        there = ~np.isnan(one)
        count = np.maximum(there.sum(0), 1)
        filled = np.where(there, one, 0.0)
        centred = np.where(there, filled - filled.sum(0) / count, 0.0)
        length = np.sqrt(np.einsum("pt,pt->t", centred, centred))
        varies = length > 1e-6 * np.sqrt(count) * np.abs(filled).max(0, initial=0.0)
        centred *= np.divide(1, length, out=np.zeros_like(length), where=varies)
        total += centred
        repeats += varies
    squares = np.einsum("pt,pt->t", total, total)
    pairs = np.where(repeats > 1, repeats * (repeats - 1), np.nan)
    alike = (squares - repeats) / pairs
    return np.asarray(np.clip((1 - alike) / np.asarray(share, np.float64), 0.0, 1.0))


def _known(noise: npt.ArrayLike) -> Floats:
    return np.clip(np.nan_to_num(np.asarray(noise, np.float64), nan=1.0), 0.0, 1.0)
