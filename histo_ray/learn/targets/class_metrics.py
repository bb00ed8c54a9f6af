"""Metrics of targets of several classes, without and with an order. Pure.

Predictions are (R, P, C) probabilities of the classes of all targets (`TargetTruth.layout`).
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from histo_ray.learn.statistics import (
    FISHER_Z,
    SHARE,
    Resampled,
    bootstrap_correlation,
    draw_weights,
    prediction_noise,
    score_spearman,
)
from histo_ray.learn.statistics.class_scores import (
    bootstrap_macro_auroc,
    center_draws,
    draw_macro_areas,
    expect_class,
    score_macro_auroc,
)
from histo_ray.learn.statistics.correlation import rank_columns
from histo_ray.learn.targets.class_folds import (
    expect_classes,
    rank_within,
    score_choices,
    score_class_folds,
    take_classes,
)
from histo_ray.learn.targets.metric_base import TOGETHER, TargetMetric, mean_folds
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth, score_folds


class MacroAreaUnderRoc(TargetMetric):
    """Mean over classes of the AUROC of each against all others, of targets of several classes."""

    name = "macro_auroc"
    chance = 0.5
    scale = SHARE
    null_variance = 1 / 12

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_class_folds(truth, predicted, score_macro_auroc)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int, by_fold: Floats
    ) -> Resampled:
        """As the base class says."""
        draws = [
            bootstrap_macro_auroc(one.values[:, 0], own, one.fold_ids[0], resamples, seed)
            for one, own in take_classes(truth, predicted)
        ]
        return Resampled(mean_folds(by_fold), np.stack(draws, axis=1))

    def draw_together(
        self, truth: TargetTruth, predicted: Predictions, resampled: Resampled, seed: int
    ) -> Floats:
        """As the base class says; `resample` draws within the classes of each target."""
        count = min(len(resampled.draws), TOGETHER)
        weights = draw_weights(len(truth.values), count, seed)
        draws = [
            draw_macro_areas(one.values[:, 0], own, one.fold_ids[0], weights)
            for one, own in take_classes(truth, predicted)
        ]
        return np.stack(draws, axis=1)

    def noise(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """Mean over the classes of a target."""
        parts = zip(take_classes(truth, predicted), truth.counts.share, strict=True)
        each = [prediction_noise(own, part) for (_, own), part in parts]
        return np.array([noise.mean() for noise in each])

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {"macro_auroc": self.score(truth, predicted)}

    def target_columns(
        self, truth: TargetTruth, predicted: Predictions, by_fold: Mapping[str, Floats]
    ) -> Mapping[str, Floats]:
        """As the base class says."""
        return score_choices(truth, predicted, ordered=False)

    def test_plainly(self, truth: TargetTruth, mean: Floats) -> Floats:
        """P of Mann and Whitney's test of the class that is told best, times the classes."""
        found = np.full(len(truth.targets), np.nan)
        for target, (one, own) in enumerate(take_classes(truth, mean[None])):
            means = np.asarray(own[0], np.float64)
            each = [
                self.plain_p((one.values == number).astype(np.float64), means[:, [number]])[0]
                for number in range(own.shape[-1])
            ]
            if not np.isnan(each).all():
                found[target] = min(1.0, float(np.nanmin(each)) * len(each))
        return found

    def plain_p(self, values: Floats, mean: Floats) -> Floats:
        """P of Mann and Whitney's test of one class against others, (P, T) each."""
        found = np.full(values.shape[1], np.nan)
        for target in range(values.shape[1]):
            scores = mean[:, target]
            kept = ~np.isnan(scores)
            one, other = (scores[kept & (values[:, target] == side)] for side in (1, 0))
            if len(one) and len(other):
                found[target] = stats.mannwhitneyu(one, other, alternative="greater").pvalue
        return found


class RankOfClasses(TargetMetric):
    """Spearman's rank correlation of ordered classes with the class that is expected."""

    name = "spearman"
    chance = 0.0
    scale = FISHER_Z
    null_variance = 1.0

    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """As the base class says."""
        return score_folds(truth, expect_classes(truth, predicted), score_spearman)

    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int, by_fold: Floats
    ) -> Resampled:
        """Bootstrap the correlation of ranks within a fold, which are held fixed."""
        draws = []
        for one, own in take_classes(truth, predicted):
            ranked = rank_within(expect_class(own), one.fold_ids[0])[..., None]
            labels = rank_columns(one.values)
            found = bootstrap_correlation(labels, ranked, resamples, seed, fold_ids=one.fold_ids[0])
            draws.append(found.draws[:, 0])
        return center_draws(mean_folds(by_fold), np.stack(draws, axis=1))

    def noise(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """Measure it of the class that is expected."""
        return prediction_noise(expect_classes(truth, predicted), truth.counts.share)

    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """As the base class says."""
        return {"spearman": self.score(truth, predicted)}

    def target_columns(
        self, truth: TargetTruth, predicted: Predictions, by_fold: Mapping[str, Floats]
    ) -> Mapping[str, Floats]:
        """As the base class says."""
        spearman = mean_folds(by_fold["spearman"])
        return {"spearman": spearman, **score_choices(truth, predicted, ordered=True)}

    def plain_p(self, values: Floats, mean: Floats) -> Floats:
        """One-sided P of Spearman's correlation with (P, T) expected classes."""
        found = np.full(values.shape[1], np.nan)
        for target in range(values.shape[1]):
            kept = ~(np.isnan(values[:, target]) | np.isnan(mean[:, target]))
            if kept.sum() > 2:
                pair = values[kept, target], mean[kept, target]
                found[target] = stats.spearmanr(*pair, alternative="greater").pvalue
        return found

    def test_plainly(self, truth: TargetTruth, mean: Floats) -> Floats:
        """As `plain_p`, of the class that is expected."""
        return self.plain_p(truth.values, expect_classes(truth, mean[None])[0])
