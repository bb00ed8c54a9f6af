"""Numbers, several targets at once: squared error of values standardised by the training part."""

import numpy as np
import torch

from histo_ray.errors import ConfigError
from histo_ray.learn.heads.linear_fit import Link
from histo_ray.learn.mil.kinds.base import Floats, MilKind, Rows, Scale
from histo_ray.learn.statistics import score_pearson
from histo_ray.types import TargetKind

_FEWEST = 4


class ContinuousTargets(MilKind):
    """Numbers; outputs are standardised values."""

    kind = TargetKind.CONTINUOUS
    link = Link.IDENTITY
    joint = True

    def check(self, labels: Floats) -> None:
        """As the base class says."""
        few = np.flatnonzero(np.isfinite(labels).sum(0) < _FEWEST)
        if len(few):
            raise ConfigError(
                f"training part: fewer than {_FEWEST} values of target {few[0]}, too few to train "
                "on; leave the target out"
            )

    def scale(self, labels: Floats, balanced: bool) -> tuple[Floats, Scale]:
        """Standardise each target by mean and sd of its values."""
        mean, sd = np.nanmean(labels, 0), np.nanstd(labels, 0)
        sd = np.where(sd > 0, sd, 1.0)
        return (labels - mean) / sd, Scale(np.zeros(len(mean)), mean, sd, 1.0)

    def classes(self, labels: Floats) -> Rows | None:
        """There are none."""
        return None

    def can_train(self, labels: Floats) -> bool:
        """Any numbers can."""
        return True

    def losses(
        self, outputs: torch.Tensor, labels: torch.Tensor, positive_weight: torch.Tensor
    ) -> torch.Tensor:
        """Squared error."""
        return (outputs - labels) ** 2

    def score_inner(self, labels: Floats, outputs: Floats) -> Floats:
        """Share of variance about the training mean explained."""
        wrong, spread = np.nansum((labels - outputs) ** 2, 0), np.nansum(labels**2, 0)
        return np.asarray(
            1 - np.divide(wrong, spread, out=np.full_like(wrong, np.nan), where=spread > 0)
        )

    def score_test(self, labels: Floats, predicted: Floats) -> Floats:
        """Pearson's correlation."""
        return score_pearson(labels, predicted)

    def predict(self, values: Floats) -> Floats:
        """Values as they are."""
        return values
