"""The score of a target that decides, and all that goes with it, by what its values are. Pure.

A metric is one object: the score of a fold and of a guess, its bootstrap and the scale of its
interval, and the other scores that stand beside it in the tables.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from histo_ray.learn.statistics import (
    FISHER_Z,
    SHARE,
    Resampled,
    bootstrap_auroc,
    bootstrap_concordance,
    bootstrap_correlation,
    censoring_curve,
    draw_areas_together,
    find_horizon,
    log_rank,
    score_auprc,
    score_auroc,
    score_concordance,
    score_concordance_ipcw,
    score_pearson,
    score_r2,
    score_spearman,
)
from histo_ray.learn.statistics.correlation import mean_defined
from histo_ray.learn.targets.class_folds import join_targets
from histo_ray.learn.targets.class_metrics import MacroAreaUnderRoc, RankOfClasses
from histo_ray.learn.targets.metric_base import TOGETHER, TargetMetric, mean_folds
from histo_ray.learn.targets.target_truth import (
    Floats,
    Predictions,
    TargetTruth,
    score_folds,
    score_r2_folds,
)
from histo_ray.types import TargetKind
from histo_ray.types.signed_times import split_times


class Correlation(TargetMetric):
    """Pearson's correlation, of targets that are numbers."""

    name = "pearson"
    chance = 0.0
    scale = FISHER_Z
    null_variance = 1.0

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_folds(truth, predicted, score_pearson)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int, by_fold: Floats
    ) -> Resampled:
        """As the base class says."""
        if truth.fold_ids.ndim == 3:
            return join_targets(
                bootstrap_correlation(
                    one.values, predicted[:, :, [t]], resamples, seed, fold_ids=one.fold_ids[0]
                )
                for t, one in enumerate(map(truth.take_target, range(len(truth.targets))))
            )
        return bootstrap_correlation(
            truth.values, predicted, resamples, seed, fold_ids=truth.fold_ids, by_fold=by_fold
        )

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "pearson": score_folds(truth, predicted, score_pearson),
            "spearman": score_folds(truth, predicted, score_spearman),
            "r2": score_r2_folds(truth, predicted),
        }

    def target_columns(
        self, truth: TargetTruth, predicted: Predictions, by_fold: Mapping[str, Floats]
    ) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "spearman": mean_folds(by_fold["spearman"]),
            "r2": _score_r2_repeats(truth, predicted),
        }

    def plain_p(self, values: Floats, mean: Floats) -> Floats:
        """One-sided P of Pearson's correlation, as `scipy.stats.pearsonr`."""
        r = score_pearson(values, mean)
        free = (~(np.isnan(values) | np.isnan(mean))).sum(0) - 2
        with np.errstate(divide="ignore", invalid="ignore"):
            p = stats.t.sf(r * np.sqrt(free / (1 - r**2)), free)
        return np.where(free > 0, p, np.nan)


class AreaUnderRoc(TargetMetric):
    """Area under the ROC curve, of binary targets."""

    name = "auroc"
    chance = 0.5
    scale = SHARE
    null_variance = 1 / 12

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_folds(truth, predicted, score_auroc)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int, by_fold: Floats
    ) -> Resampled:
        """As the base class says."""
        return bootstrap_auroc(truth.values, predicted, resamples, seed, truth.fold_ids)

    def draw_together(
        self, truth: TargetTruth, predicted: Predictions, resampled: Resampled, seed: int
    ) -> Floats:
        """As the base class says; `resample` draws within the classes of each target."""
        count = min(len(resampled.draws), TOGETHER)
        return draw_areas_together(truth.values, predicted, count, seed, truth.fold_ids)

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "auroc": score_folds(truth, predicted, score_auroc),
            "auprc": score_folds(truth, predicted, score_auprc),
        }

    def target_columns(
        self, truth: TargetTruth, predicted: Predictions, by_fold: Mapping[str, Floats]
    ) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "auprc": mean_defined(np.stack([score_auprc(truth.values, one) for one in predicted]))
        }

    def plain_p(self, values: Floats, mean: Floats) -> Floats:
        """One-sided P of Mann and Whitney's test; nan where a class is missing."""
        found = np.full(values.shape[1], np.nan)
        for target in range(values.shape[1]):
            labels, scores = values[:, target], mean[:, target]
            kept = ~(np.isnan(labels) | np.isnan(scores))
            one, other = scores[kept & (labels > 0)], scores[kept & (labels == 0)]
            if len(one) and len(other):
                found[target] = stats.mannwhitneyu(one, other, alternative="greater").pvalue
        return found


class Concordance(TargetMetric):
    """Harrell's C-index, of times until an event; Uno's stands beside it."""

    name = "c_index"
    chance = 0.5
    scale = SHARE
    null_variance = 1 / 9
    """Variance of Kendall's tau over 2 without censoring, times the events; lower with it."""

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_folds(truth, predicted, score_concordance)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int, by_fold: Floats
    ) -> Resampled:
        """As the base class says."""
        return bootstrap_concordance(truth.values, predicted, resamples, seed, truth.fold_ids)

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "c_index": score_folds(truth, predicted, score_concordance),
            "c_uno": _score_uno_folds(truth, predicted),
        }

    def target_columns(
        self, truth: TargetTruth, predicted: Predictions, by_fold: Mapping[str, Floats]
    ) -> Mapping[str, Floats]:
        """As the base class says."""
        return {"c_uno": mean_folds(by_fold["c_uno"])}

    def plain_p(self, values: Floats, mean: Floats) -> Floats:
        """One-sided P of the log-rank test between halves of higher and lower risk."""
        found = np.full(values.shape[1], np.nan)
        for target in range(values.shape[1]):
            kept = ~(np.isnan(values[:, target]) | np.isnan(mean[:, target]))
            times, events = split_times(values[kept, target])
            risks = mean[kept, target]
            if events.any():
                z = log_rank(times, events, risks > np.median(risks)).z
                found[target] = stats.norm.sf(z)
        return found


METRICS: dict[TargetKind, TargetMetric] = {
    TargetKind.CONTINUOUS: Correlation(),
    TargetKind.BINARY: AreaUnderRoc(),
    TargetKind.SURVIVAL: Concordance(),
    TargetKind.MULTICLASS: MacroAreaUnderRoc(),
    TargetKind.ORDINAL: RankOfClasses(),
}
"""The score that decides, by what the values of a target are."""


def _score_r2_repeats(truth: TargetTruth, predicted: Predictions) -> Floats:
    """Mean over repeats of R2 over all predictions, about their training parts' means; (T,)."""
    found = []
    for repeat, one in enumerate(predicted):
        folds = np.maximum(truth.fold_ids[..., repeat, :], 0)  # (P,) or (T, P)
        means = truth.counts.mean[repeat]  # (F, T)
        reference = means[folds] if folds.ndim == 1 else np.take_along_axis(means, folds.T, axis=0)
        found.append(score_r2(truth.values, one, reference))
    return mean_defined(np.stack(found))


def _score_uno_folds(truth: TargetTruth, predicted: Predictions) -> Floats:
    """Uno's C of every fold up to the endpoint's horizon, (R, F, T)."""
    found = np.full((truth.repeats, truth.n_folds, len(truth.targets)), np.nan)
    for target, signed in enumerate(truth.values.T):
        horizon = find_horizon(signed)
        ids = truth.fold_ids[target] if truth.fold_ids.ndim == 3 else truth.fold_ids
        for repeat, fold in np.ndindex(found.shape[:2]):
            risks = predicted[repeat, :, target]
            there = ~np.isnan(signed) & (ids[repeat] >= 0)
            trained = signed[there & (ids[repeat] != fold)]
            tested = there & (ids[repeat] == fold) & ~np.isnan(risks)
            if len(trained) and tested.any():
                censoring = censoring_curve(*split_times(trained))
                own = np.asarray(risks[tested], np.float64)
                found[repeat, fold, target] = score_concordance_ipcw(
                    signed[tested], own, censoring, horizon
                )
    return found
