"""One primary endpoint: the mean difference over all targets, and the few targets that carry it.

A comparison of two encoders on many targets has one main answer, the mean difference of their
scores with its interval and P. Beside it each target is tested, among those that anything can be
said of: whose mean score of both encoders beats chance. That mean is nearly uncorrelated with the
difference, so choosing by it does not favour either encoder (independent filtering: Bourgon,
Gentleman and Huber 2010, PNAS 107:9546, doi 10.1073/pnas.0914005107). Pure.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy import stats

from histo_ray.learn.statistics import adjust_holm, adjust_p
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import EncoderScores, PermutedScores, test_permuted
from histo_ray.learn.targets.target_tests import test_above_chance, test_difference
from histo_ray.learn.targets.target_truth import Floats, TargetTruth
from histo_ray.schema import arrow_schema

LEVEL = 0.05
"""q of the mean of both encoders below which a target counts as predictable."""


class MeanDifference(NamedTuple):
    """Mean over targets of the difference of two encoders; nan where it cannot be tested."""

    targets: int
    """Targets that it is the mean of: those whose own difference can be tested."""
    score_a: float
    score_b: float
    difference: float
    low: float
    high: float
    p: float
    df: float


def compare_means(
    truth: TargetTruth, one: EncoderScores, other: EncoderScores, level: float = 0.95
) -> MeanDifference:
    """Test the mean over targets of the difference of two encoders, b less a.

    Each target's difference has the standard error of its corrected test. How the targets' errors
    go together, as their patients are the same, is taken from the bootstrap over patients: its
    draws of each target are scaled to that standard error, and their mean over targets spreads as
    the mean difference does. So targets may have folds of their own, and count for what they add.
    Degrees of freedom are the fewest of any target's test. `python -m benchmarks.endpoint` has its
    level and power.

    Args:
        truth: Labels and folds.
        one: Scores with a.
        other: Scores with b, by the same resamples and seed.
        level: Of the interval.
    """
    differences = other.by_fold - one.by_fold
    test = test_difference(truth, differences)
    score_a, score_b = one.resampled.score, other.resampled.score
    with np.errstate(invalid="ignore"):
        error = (test.high - test.low) / (2 * stats.t.ppf(0.975, test.df))
    draws = (other.together - one.together).astype(np.float64)
    spread = np.full(len(error), np.nan)
    there = ~np.isnan(draws).all(0)
    spread[there] = np.nanstd(draws[:, there], axis=0, ddof=1)
    kept = np.flatnonzero(~np.isnan(error) & ~np.isnan(spread) & (test.df > 0))
    if not len(kept):
        return MeanDifference(0, *[np.nan] * 7)
    varies = spread[kept] > 0  # it does not where both encoders predict the same
    scale = np.divide(error[kept], spread[kept], out=np.zeros(len(kept)), where=varies)
    scaled = (draws[:, kept] - np.nanmean(draws[:, kept], axis=0)) * scale
    of_mean = float(np.nan_to_num(scaled).mean(1).std(ddof=1))
    df = float(test.df[kept].min())
    mean = float((score_b - score_a)[kept].mean())
    if of_mean == 0 and mean != 0:
        return MeanDifference(0, *[np.nan] * 7)
    reach = float(stats.t.ppf((1 + level) / 2, df)) * of_mean
    p = float(2 * stats.t.sf(abs(mean) / of_mean, df)) if of_mean > 0 else 1.0
    means = float(score_a[kept].mean()), float(score_b[kept].mean())
    return MeanDifference(len(kept), *means, mean, mean - reach, mean + reach, p, df)


def tabulate_endpoints(truth: TargetTruth, scores: Mapping[str, EncoderScores]) -> pa.Table:
    """Compare the means of every pair of encoders, as rows of `schemas/outcome_endpoints.json`."""
    pairs = list(itertools.combinations(scores.items(), 2))
    found = [compare_means(truth, one, other) for (_, one), (_, other) in pairs]
    holm = adjust_holm([mean.p for mean in found])
    rows = [
        {
            "task": truth.task,
            "encoder_a": a,
            "encoder_b": b,
            "metric": METRICS[truth.kind].name,
            **mean._asdict(),
            "p_holm": float(adjusted),
        }
        for ((a, _), (b, _)), mean, adjusted in zip(pairs, found, holm, strict=True)
    ]
    return pa.Table.from_pylist(rows, arrow_schema("outcome_endpoints"))


class FoundTargets(NamedTuple):
    """Which targets both encoders together predict better than chance; (T,) each."""

    p_both: Floats
    """P of the mean of both scores being better than chance."""
    q_both: Floats
    """`p_both` after Benjamini-Hochberg over targets."""
    q_found: Floats
    """P of the difference after Benjamini-Hochberg over targets with `q_both` below `LEVEL`; nan of
    all others."""


def find_predictable(
    truth: TargetTruth, one: EncoderScores, other: EncoderScores, p_difference: Floats
) -> FoundTargets:
    """Test the mean of two encoders against chance, and correct their difference where it is.

    Args:
        truth: Labels and folds.
        one: Scores with a.
        other: Scores with b.
        p_difference: (T,) of the difference; nan: not tested.
    """
    p_both = _test_both(truth, one, other)
    q_both = adjust_p(p_both)
    kept = q_both < LEVEL
    q_found = np.full(len(p_both), np.nan)
    q_found[kept] = adjust_p(p_difference[kept])
    return FoundTargets(p_both, q_both, q_found)


def _test_both(truth: TargetTruth, one: EncoderScores, other: EncoderScores) -> Floats:
    if one.permuted is None or other.permuted is None:
        chance = METRICS[truth.kind].chance
        return test_above_chance(truth, (one.by_fold + other.by_fold) / 2 - chance).p
    both = PermutedScores(
        (one.permuted.observed + other.permuted.observed) / 2,
        (one.permuted.null + other.permuted.null) / 2,
    )
    return test_permuted(truth, both)
