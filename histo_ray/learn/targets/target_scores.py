"""Scores of out-of-fold predictions, target by target. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from histo_ray.learn.statistics import (
    IntervalEnds,
    Resampled,
    ScoreError,
    adjust_p,
    chance_statistic,
    estimate_error,
    keep_to_test,
    score_interval,
    smooth_permutation_p,
)
from histo_ray.learn.statistics.correlation import mean_defined
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_tests import test_above_chance, test_difference, too_few_orders
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth


class PermutedScores(NamedTuple):
    """Statistic of each repeat that permuted labels were predicted in."""

    observed: Floats
    """(R', T) of the labels."""
    null: Floats
    """(R', B) of permuted ones."""


@dataclass(frozen=True)
class EncoderScores:
    """Scores of one encoder's selected predictions; (T,) where nothing else is said."""

    resampled: Resampled
    """The mean over repeats and folds of the metric that decides, and its bootstrap with the heads
    held fixed."""
    interval: IntervalEnds
    """95 % interval of the expected score of heads trained on so many patients, on new ones."""
    others: Mapping[str, Floats]
    """By column of `schemas/outcome_targets.json`."""
    p_chance: Floats
    p_paper: Floats
    metric: str
    """Name of the one that decides."""
    by_fold: Floats
    """(R, F, T) the metric that decides, in each fold; nan where it is undefined."""
    others_by_fold: Mapping[str, Floats] | None
    """(R, F, T) the other metrics in each fold, by column of `schemas/outcome_scores.json`; None:
    not kept."""
    together: Floats
    """(B, T) the score in resamples of patients that all targets share; nan: undefined."""
    permuted: PermutedScores | None = None
    """What `p_chance` compares; None: it is that of a t-test."""

    @property
    def columns(self) -> dict[str, Floats] | None:
        """(R, F, T) every metric in each fold, by column of `outcome_scores`; None: not kept."""
        if self.others_by_fold is None:
            return None
        return {self.metric: self.by_fold, **self.others_by_fold}

    @property
    def q_chance(self) -> Floats:
        """`p_chance` after Benjamini-Hochberg over targets."""
        return adjust_p(self.p_chance)


def score_encoder(
    truth: TargetTruth,
    predicted: Predictions,
    resamples: int,
    seed: int,
    null: Floats | None = None,
) -> EncoderScores:
    """Score an encoder's out-of-fold predictions of selected configurations.

    Args:
        truth: Labels and folds.
        predicted: (R, P, T); of targets of several classes (R, P, C) probabilities of all of their
            classes; nan: not predicted.
        resamples: Draws of the bootstrap over patients.
        seed: Seed of the draws; the same for encoders that are to be compared.
        null: (R', B) `chance_statistic` of B permuted targets in the first R' repeats, predicted by
            the same folds, configurations and selection. `p_chance` then compares the mean over
            these repeats; without it, it is that of the corrected resampled t-test of being above
            chance.
    """
    metric = METRICS[truth.kind]
    columns = metric.score_columns(truth, predicted)
    by_fold = columns[metric.name]
    resampled = _hide_few(truth, metric.resample(truth, predicted, resamples, seed, by_fold))
    together = metric.draw_together(truth, predicted, resampled, seed)
    permuted = None if null is None else PermutedScores(_observe(truth, predicted, len(null)), null)
    return EncoderScores(
        resampled=resampled,
        interval=_bound(truth, resampled, by_fold, predicted),
        others=metric.target_columns(truth, predicted, columns),
        p_chance=test_above_chance(truth, by_fold - metric.chance).p
        if permuted is None
        else test_permuted(truth, permuted),
        p_paper=metric.test_plainly(truth, _mean_repeats(predicted)),
        metric=metric.name,
        by_fold=by_fold,
        others_by_fold={name: own for name, own in columns.items() if name != metric.name},
        together=np.where(truth.support.untested, np.nan, together),
        permuted=permuted,
    )


def join_scores(parts: Sequence[EncoderScores]) -> EncoderScores:
    """Join the scores of consecutive targets; what `p_chance` compares has the same null in all."""
    if len(parts) == 1:
        return parts[0]

    def join(take: Callable[[EncoderScores], Floats]) -> Floats:
        return np.concatenate([take(part) for part in parts], axis=-1)

    permuted = None
    if (first := parts[0].permuted) is not None:
        observed = [part.permuted.observed for part in parts if part.permuted is not None]
        permuted = PermutedScores(np.concatenate(observed, axis=-1), first.null)
    return EncoderScores(
        resampled=Resampled(
            join(lambda one: one.resampled.score),
            np.concatenate([part.resampled.draws for part in parts], axis=-1),
        ),
        interval=IntervalEnds(
            join(lambda one: one.interval.low), join(lambda one: one.interval.high)
        ),
        others=_join_columns([part.others for part in parts]) or {},
        p_chance=join(lambda one: one.p_chance),
        p_paper=join(lambda one: one.p_paper),
        metric=parts[0].metric,
        by_fold=join(lambda one: one.by_fold),
        others_by_fold=_join_columns([part.others_by_fold for part in parts]),
        together=join(lambda one: one.together),
        permuted=permuted,
    )


def _join_columns(parts: Sequence[Mapping[str, Floats] | None]) -> dict[str, Floats] | None:
    """Join columns of consecutive targets; None where a part has not kept them."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return {name: np.concatenate([one[name] for one in known], axis=-1) for name in known[0]}


def _bound(
    truth: TargetTruth, resampled: Resampled, by_fold: Floats, predicted: Predictions
) -> IntervalEnds:
    """Interval of scores; it includes chance only where the score less t errors does, too."""
    metric = METRICS[truth.kind]
    estimate = _estimate_error(truth, resampled, by_fold, predicted)
    ends = score_interval(resampled.score, estimate, metric.scale, truth.support.units)
    return keep_to_test(ends, resampled.score, estimate, metric.chance)


def _estimate_error(
    truth: TargetTruth, resampled: Resampled, by_fold: Floats, predicted: Predictions
) -> ScoreError:
    """Estimate standard errors; of few independent units by their folds alone, as their tests."""
    found = estimate_error(
        resampled.error,
        by_fold.reshape(-1, len(truth.targets)).T,
        METRICS[truth.kind].noise(truth, predicted),
        truth.counts.share,
        truth.support.units,
    )
    few = truth.support.few
    if not few.any():
        return found
    tested = test_difference(truth, by_fold)
    with np.errstate(invalid="ignore"):
        error = (tested.high - tested.low) / 2 / stats.t.ppf(0.975, tested.df)
    equal = np.isnan(error) & ~np.isnan(resampled.error)  # folds that do not vary
    error = np.where(equal, 0.0, error)
    return ScoreError(np.where(few, error, found.error), np.where(few, tested.df, found.df))


def test_permuted(truth: TargetTruth, permuted: PermutedScores) -> Floats:
    """(T,) P of being better than chance; nan where labels have too few orders."""
    p = smooth_permutation_p(mean_defined(permuted.observed), mean_defined(permuted.null))
    return np.asarray(np.where(too_few_orders(truth), np.nan, p))


test_permuted.__test__ = False  # type: ignore[attr-defined]


def _observe(truth: TargetTruth, predicted: Predictions, repeats: int) -> Floats:
    """(R', T) the statistic of the labels themselves."""
    return np.stack(
        [
            chance_statistic(truth.values, predicted[r], truth.fold_ids[r], truth.sites)
            for r in range(repeats)
        ]
    )


def _mean_repeats(predicted: Predictions) -> Floats:
    """(P, T) mean over the repeats that a target has; nan where a patient lacks one of them."""
    empty = np.isnan(predicted).all(1, keepdims=True)  # (R, 1, T)
    if not empty.any():
        return np.asarray(predicted.mean(0, dtype=np.float64))
    count = np.asarray((~empty).sum(0))
    total = np.where(empty, 0.0, predicted).sum(0, dtype=np.float64)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _hide_few(truth: TargetTruth, resampled: Resampled) -> Resampled:
    """Without draws, and so without an interval, where units are too few for one."""
    untested = truth.support.untested
    if not untested.any():
        return resampled
    return Resampled(resampled.score, np.where(untested, np.nan, resampled.draws))
