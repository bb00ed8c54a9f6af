"""What a metric of targets must offer; see `learn.target_metrics`. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from histo_ray.learn.statistics import IDENTITY, Resampled, ScoreScale, prediction_noise
from histo_ray.learn.target_truth import Floats, Predictions, TargetTruth


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
        self, truth: TargetTruth, predicted: Predictions, resamples: int, seed: int
    ) -> Resampled:
        """Bootstrap the mean score over patients."""

    def measure_noise(self, truth: TargetTruth, predicted: Predictions, share: Floats) -> Floats:
        """Share of the predictions' variance that other training parts would change, (T,).

        Args:
            truth: Labels and folds.
            predicted: As of `score`.
            share: (T,) share of the patients that a fold tests.
        """
        return prediction_noise(predicted, share)

    @abstractmethod
    def score_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """Score by every metric of this kind, (R, F, T) by column of `outcome_scores`."""

    @abstractmethod
    def target_columns(self, truth: TargetTruth, predicted: Predictions) -> Mapping[str, Floats]:
        """Score by the metrics beside the one that decides, (T,) by column of `outcome_targets`."""

    @abstractmethod
    def plain_p(self, values: Floats, mean: Floats) -> Floats:
        """Test (P, T) mean predictions as publications do, as if they had seen no label; (T,)."""

    def test_plainly(self, truth: TargetTruth, mean: Floats) -> Floats:
        """As `plain_p`, of mean predictions that may be of several classes a target."""
        return self.plain_p(truth.values, mean)
