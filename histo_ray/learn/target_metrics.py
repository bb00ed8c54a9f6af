"""The score of a target that decides, and all that goes with it, by what its values are. Pure.

A metric is one object: the score of a fold and of a guess, its bootstrap, and the other scores that
stand beside it in the tables.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from scipy import stats

from histo_ray.learn.class_folds import (
    expect_classes,
    join_targets,
    rank_within,
    score_choices,
    score_class_folds,
    take_classes,
)
from histo_ray.learn.statistics import (
    Placements,
    Resampled,
    bootstrap_auroc,
    bootstrap_correlation,
    place_classes,
    score_auprc,
    score_auroc,
    score_pearson,
    score_r2,
    score_spearman,
)
from histo_ray.learn.statistics.class_scores import (
    bootstrap_macro_auroc,
    center_draws,
    expect_class,
    score_macro_auroc,
)
from histo_ray.learn.statistics.correlation import mean_defined, rank_columns
from histo_ray.learn.target_truth import (
    Floats,
    Predictions,
    TargetTruth,
    score_folds,
    score_r2_folds,
)
from histo_ray.types import TargetKind


class TargetMetric(ABC):
    """One score that decides."""

    name: ClassVar[str]
    """In the column `metric` of tables."""
    chance: ClassVar[float]
    """Score of a guess."""
    null_variance: ClassVar[float]
    """Variance under chance for many patients of a fold: of a correlation times n - 1, of an AUROC
    times n of both classes over their product."""

    @abstractmethod
    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """Score (R, P, T) predictions fold by fold, to (R, F, T); nan where undefined."""

    @abstractmethod
    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int
    ) -> Resampled:
        """Bootstrap the mean score over patients."""

    @abstractmethod
    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """Score by every metric of this kind, (R, F, T) by column of `outcome_scores`."""

    @abstractmethod
    def target_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """Score by the metrics beside the one that decides, (T,) by column of `outcome_targets`."""

    @abstractmethod
    def plain_p(self, truth: TargetTruth, mean: Floats) -> Floats:
        """Test mean predictions as publications do, as if they had seen no label; (T,)."""

    def place(self, values: Floats, predicted: Predictions) -> tuple[Placements | None, ...]:
        """Make what DeLong's test needs of each target; empty where there is no such test."""
        return ()


class Correlation(TargetMetric):
    """Pearson's correlation, of targets that are numbers."""

    name = "pearson"
    chance = 0.0
    null_variance = 1.0

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_folds(truth, predicted, score_pearson)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int
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
            truth.values, predicted, resamples, seed, fold_ids=truth.fold_ids
        )

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "pearson": score_folds(truth, predicted, score_pearson),
            "spearman": score_folds(truth, predicted, score_spearman),
            "r2": score_r2_folds(truth, predicted),
        }

    def target_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        by_fold = score_folds(truth, predicted, score_spearman)
        return {
            "spearman": mean_defined(by_fold.reshape(-1, by_fold.shape[-1])),
            "r2": _score_r2_repeats(truth, predicted),
        }

    def plain_p(self, truth: TargetTruth, mean: Floats) -> Floats:
        """One-sided P of Pearson's correlation, as `scipy.stats.pearsonr`."""
        values = truth.values
        r = score_pearson(values, mean)
        free = (~(np.isnan(values) | np.isnan(mean))).sum(0) - 2
        with np.errstate(divide="ignore", invalid="ignore"):
            p = stats.t.sf(r * np.sqrt(free / (1 - r**2)), free)
        return np.where(free > 0, p, np.nan)


class AreaUnderRoc(TargetMetric):
    """Area under the ROC curve, of binary targets."""

    name = "auroc"
    chance = 0.5
    null_variance = 1 / 12

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_folds(truth, predicted, score_auroc)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int
    ) -> Resampled:
        """As the base class says."""
        return bootstrap_auroc(truth.values, predicted, resamples, seed, truth.fold_ids)

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "auroc": score_folds(truth, predicted, score_auroc),
            "auprc": score_folds(truth, predicted, score_auprc),
        }

    def target_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {
            "auprc": mean_defined(np.stack([score_auprc(truth.values, one) for one in predicted]))
        }

    def plain_p(self, truth: TargetTruth, mean: Floats) -> Floats:
        """One-sided P of Mann and Whitney's test; nan where a class is missing."""
        values = truth.values
        found = np.full(values.shape[1], np.nan)
        for target in range(values.shape[1]):
            labels, scores = values[:, target], mean[:, target]
            kept = ~(np.isnan(labels) | np.isnan(scores))
            one, other = scores[kept & (labels > 0)], scores[kept & (labels == 0)]
            if len(one) and len(other):
                found[target] = stats.mannwhitneyu(one, other, alternative="greater").pvalue
        return found

    def place(self, values: Floats, predicted: Predictions) -> tuple[Placements | None, ...]:
        """Place each positive among the negatives, in the repeats that the target has."""
        found: list[Placements | None] = []
        for target in range(values.shape[1]):
            labels, scores = values[:, target], predicted[:, :, target]
            scores = scores[~np.isnan(scores).all(1)]
            kept = labels[~np.isnan(labels) & ~np.isnan(scores).any(0)] > 0
            both = kept.any() and not kept.all()
            found.append(place_classes(labels, scores) if both and len(scores) else None)
        return tuple(found)


class MacroAreaUnderRoc(TargetMetric):
    """Mean over classes of the AUROC of each against all others, of targets of several classes.

    Predictions are (R, P, C) probabilities of the classes of all targets (`truth.layout`).
    """

    name = "macro_auroc"
    chance = 0.5
    null_variance = 1 / 12

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_class_folds(truth, predicted, score_macro_auroc)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int
    ) -> Resampled:
        """As the base class says."""
        score = self.score(truth, predicted)
        draws = [
            bootstrap_macro_auroc(one.values[:, 0], own, one.fold_ids[0], resamples, seed)
            for one, own in take_classes(truth, predicted)
        ]
        return Resampled(mean_defined(score.reshape(-1, score.shape[-1])), np.stack(draws, axis=1))

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {"macro_auroc": self.score(truth, predicted)}

    def target_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return score_choices(truth, predicted, ordered=False)

    def plain_p(self, truth: TargetTruth, mean: Floats) -> Floats:
        """P of Mann and Whitney's test of the class that is told best, times the classes."""
        found = np.full(len(truth.targets), np.nan)
        for target, (one, own) in enumerate(take_classes(truth, mean[None])):
            labels, count = one.values, own.shape[-1]
            sides = np.where(np.isnan(labels), np.nan, labels == np.arange(count))
            each = METRICS[TargetKind.BINARY].plain_p(replace(one, values=sides), own[0])
            if not np.isnan(each).all():
                found[target] = min(1.0, float(np.nanmin(each)) * count)
        return found


class RankOfClasses(TargetMetric):
    """Spearman's rank correlation of ordered classes with the class that is expected.

    Predictions are (R, P, C) probabilities of the classes of all targets (`truth.layout`).
    """

    name = "spearman"
    chance = 0.0
    null_variance = 1.0

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_folds(truth, expect_classes(truth, predicted), score_spearman)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int
    ) -> Resampled:
        """Bootstrap the correlation of ranks within a fold, which are held fixed."""
        score = self.score(truth, predicted)
        draws = []
        for one, own in take_classes(truth, predicted):
            ranked = rank_within(expect_class(own), one.fold_ids[0])[..., None]
            labels = rank_columns(one.values)
            found = bootstrap_correlation(labels, ranked, resamples, seed, fold_ids=one.fold_ids[0])
            draws.append(found.draws[:, 0])
        observed = mean_defined(score.reshape(-1, score.shape[-1]))
        return center_draws(observed, np.stack(draws, axis=1))

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {"spearman": self.score(truth, predicted)}

    def target_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        by_fold = self.score(truth, predicted)
        spearman = mean_defined(by_fold.reshape(-1, by_fold.shape[-1]))
        return {"spearman": spearman, **score_choices(truth, predicted, ordered=True)}

    def plain_p(self, truth: TargetTruth, mean: Floats) -> Floats:
        """One-sided P of Spearman's correlation, by the t distribution."""
        ranked = rank_columns(expect_classes(truth, mean[None])[0])
        return METRICS[TargetKind.CONTINUOUS].plain_p(
            replace(truth, values=rank_columns(truth.values)), ranked
        )


METRICS: dict[TargetKind, TargetMetric] = {
    TargetKind.CONTINUOUS: Correlation(),
    TargetKind.BINARY: AreaUnderRoc(),
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
