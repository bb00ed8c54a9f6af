"""What a metric of targets must offer; see `learn.targets.target_metrics`. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from histo_ray.learn.statistics import IDENTITY, Resampled, ScoreScale, prediction_noise
from histo_ray.learn.statistics.correlation import mean_defined
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth

TOGETHER = 400
"""Resamples, at most, by which errors of targets that have draws of their own are related."""


class TargetMetric(ABC):
    """One score that decides."""

    name: ClassVar[str]
    """In the column `metric` of tables."""
    chance: ClassVar[float]
    """Score of a guess."""
    scale: ClassVar[ScoreScale] = IDENTITY
    """On which the score is near to normal; its interval is drawn there."""
    null_variance: ClassVar[float]
    """Variance under chance for many patients of a fold: of a correlation times n - 1, of an AUROC
    times n of both classes over their product."""

    @abstractmethod
    def score(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """Score (R, P, T) predictions fold by fold, to (R, F, T); nan where undefined."""

    @abstractmethod
    def resample(
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int, by_fold: Floats
    ) -> Resampled:
        """Bootstrap the mean score over patients; `by_fold` is what `score` says of it."""

    def noise(self, truth: TargetTruth, predicted: Predictions) -> Floats:
        """Share of the predictions' variance that other training parts would change, (T,).

        nan where it is not known, and so where targets have several predictions each: intervals
        are then as wide as without signal.
        """
        count = len(truth.targets)
        if predicted.shape[-1] != count:
            return np.full(count, np.nan)
        return prediction_noise(predicted, truth.counts.share)

    def draw_together(
        self, truth: TargetTruth, predicted: Predictions, resampled: Resampled, seed: int
    ) -> Floats:
        """Scores of all targets in the same resamples of patients, (B, T).

        They tell how the errors of targets go together. As `resample` has drawn them, unless it
        draws patients for each target anew.
        """
        return np.asarray(resampled.draws)

    @abstractmethod
    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """Score by every metric of this kind, (R, F, T) by column of `outcome_scores`."""

    @abstractmethod
    def target_columns(
        self, truth: TargetTruth, predicted: Predictions, by_fold: Mapping[str, Floats]
    ) -> Mapping[str, Floats]:
        """Score by the metrics beside the one that decides, (T,) by column of `outcome_targets`.

        `by_fold` is what `score_columns` says of these predictions.
        """

    @abstractmethod
    def plain_p(self, values: Floats, mean: Floats) -> Floats:
        """Test (P, T) mean predictions as publications do, as if they had seen no label; (T,)."""

    def test_plainly(self, truth: TargetTruth, mean: Floats) -> Floats:
        """As `plain_p`, of mean predictions that may be of several classes a target."""
        return self.plain_p(truth.values, mean)


def mean_folds(by_fold: Floats) -> Floats:
    """(T,) mean over repeats and folds of (R, F, T); nan where none has a score."""
    return mean_defined(by_fold.reshape(-1, by_fold.shape[-1]))
