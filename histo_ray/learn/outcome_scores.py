"""What out-of-fold predictions of expression or mutation are worth, target by target. Pure."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from histo_ray.learn.outcome_tests import test_above_chance, too_few_orders
from histo_ray.learn.outcome_truth import (
    Floats,
    OutcomeTruth,
    Predictions,
    score_folds,
)
from histo_ray.learn.statistics import (
    Placements,
    Resampled,
    adjust_p,
    bootstrap_auroc,
    bootstrap_correlation,
    chance_statistic,
    place_classes,
    score_auprc,
    score_auroc,
    score_pearson,
    score_r2,
    score_spearman,
    smooth_permutation_p,
)
from histo_ray.learn.statistics.correlation import mean_defined


@dataclass(frozen=True)
class EncoderScores:
    """What one encoder's selected predictions are worth; (T,) where nothing else is said."""

    resampled: Resampled
    """Of the mean over repeats and folds of the metric that decides."""
    spearman: Floats
    r2: Floats
    auprc: Floats
    p_chance: Floats
    p_paper: Floats
    by_fold: Floats
    """(R, F, T) the metric that decides, in each fold; nan where it is undefined."""
    placements: tuple[Placements | None, ...]
    """Of each mutated gene with both classes, for DeLong's test; empty for expression."""

    @property
    def q_chance(self) -> Floats:
        """`p_chance` after Benjamini-Hochberg over targets."""
        return adjust_p(self.p_chance)


def score_encoder(
    truth: OutcomeTruth,
    predicted: Predictions,
    resamples: int,
    seed: int,
    null: Floats | None = None,
) -> EncoderScores:
    """Score an encoder's out-of-fold predictions of selected configurations.

    Args:
        truth: What is known.
        predicted: (R, P, T); nan: not judged.
        resamples: Of the bootstrap over patients.
        seed: Of its draws; the same for encoders that are to be compared.
        null: (R', B) `chance_statistic` of B permuted targets in the first R' repeats, judged by
            the same folds, configurations and selection. `p_chance` then compares the mean over
            these repeats; without it, it is that of the corrected resampled t-test of being above
            chance, as always for mutation.
    """
    nothing = np.full(len(truth.targets), np.nan)
    mean = _mean_repeats(predicted)
    if truth.task == "mutation":
        by_fold = score_folds(truth, predicted, score_auroc)
        return EncoderScores(
            resampled=_hide_few(
                truth, bootstrap_auroc(truth.values, predicted, resamples, seed, truth.parts)
            ),
            spearman=nothing,
            r2=nothing,
            auprc=mean_defined(np.stack([score_auprc(truth.values, one) for one in predicted])),
            p_chance=test_above_chance(truth, by_fold - 0.5).p,
            p_paper=_rank_p(truth.values, mean),
            by_fold=by_fold,
            placements=tuple(_place(truth.values, predicted)),
        )
    by_fold = score_folds(truth, predicted, score_pearson)
    return EncoderScores(
        resampled=_hide_few(
            truth,
            bootstrap_correlation(truth.values, predicted, resamples, seed, parts=truth.parts),
        ),
        spearman=_mean_folds(score_folds(truth, predicted, score_spearman)),
        r2=_score_r2(truth, predicted),
        auprc=nothing,
        p_chance=test_above_chance(truth, by_fold).p
        if null is None
        else _permute(truth, predicted, null),
        p_paper=_correlation_p(truth.values, mean),
        by_fold=by_fold,
        placements=(),
    )


def _mean_folds(by_fold: Floats) -> Floats:
    """(T,) mean of (R, F, T) where it is defined."""
    return mean_defined(by_fold.reshape(-1, by_fold.shape[-1]))


def _permute(truth: OutcomeTruth, predicted: Predictions, null: Floats) -> Floats:
    observed = [
        chance_statistic(truth.values, predicted[r], truth.parts[r], truth.sites)
        for r in range(len(null))
    ]
    p = smooth_permutation_p(mean_defined(np.stack(observed)), mean_defined(null))
    return np.asarray(np.where(too_few_orders(truth), np.nan, p))


def _mean_repeats(predicted: Predictions) -> Floats:
    """(P, T) mean over the repeats that a target has; nan where a patient lacks one of them."""
    empty = np.isnan(predicted).all(1, keepdims=True)  # (R, 1, T)
    if not empty.any():
        return np.asarray(predicted.mean(0, dtype=np.float64))
    count = (~empty).sum(0)
    total = np.where(empty, 0.0, predicted).sum(0, dtype=np.float64)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _hide_few(truth: OutcomeTruth, resampled: Resampled) -> Resampled:
    """Without draws, and so without an interval, where units are too few for one."""
    untested = truth.support.untested
    if not untested.any():
        return resampled
    return Resampled(resampled.score, np.where(untested, np.nan, resampled.draws))


def _score_r2(truth: OutcomeTruth, predicted: Predictions) -> Floats:
    """(T,) mean over repeats of R2 over all predictions, about their training parts' means."""
    found = []
    for repeat, one in enumerate(predicted):
        reference = truth.counts.mean[repeat][np.maximum(truth.parts[repeat], 0)]  # (P, T)
        found.append(score_r2(truth.values, one, reference))
    return mean_defined(np.stack(found))


def _place(values: Floats, predicted: Predictions) -> list[Placements | None]:
    found: list[Placements | None] = []
    for target in range(values.shape[1]):
        labels, scores = values[:, target], predicted[:, :, target]
        scores = scores[~np.isnan(scores).all(1)]
        kept = labels[~np.isnan(labels) & ~np.isnan(scores).any(0)] > 0
        both = kept.any() and not kept.all()
        found.append(place_classes(labels, scores) if both and len(scores) else None)
    return found


def _correlation_p(values: Floats, mean: Floats) -> Floats:
    """(T,) one-sided P of Pearson's correlation, as `scipy.stats.pearsonr`."""
    r = score_pearson(values, mean)
    free = (~(np.isnan(values) | np.isnan(mean))).sum(0) - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        p = stats.t.sf(r * np.sqrt(free / (1 - r**2)), free)
    return np.where(free > 0, p, np.nan)


def _rank_p(values: Floats, mean: Floats) -> Floats:
    """(T,) one-sided P of Mann and Whitney's test; nan where a class is missing."""
    found = np.full(values.shape[1], np.nan)
    for target in range(values.shape[1]):
        labels, scores = values[:, target], mean[:, target]
        kept = ~(np.isnan(labels) | np.isnan(scores))
        one, other = scores[kept & (labels > 0)], scores[kept & (labels == 0)]
        if len(one) and len(other):
            found[target] = stats.mannwhitneyu(one, other, alternative="greater").pvalue
    return found
