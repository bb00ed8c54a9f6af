"""One target of two classes, 0 and 1: cross-entropy."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from histo_ray.errors import ConfigError
from histo_ray.learn.heads.linear_fit import Link
from histo_ray.learn.mil.kinds.base import Floats, MilKind, Rows, Scale
from histo_ray.learn.statistics import score_auroc
from histo_ray.types import TargetKind


class BinaryTargets(MilKind):
    """Classes; outputs are log-odds."""

    kind = TargetKind.BINARY
    link = Link.LOGISTIC
    joint = False

    def check(self, labels: Floats) -> None:
        """As the base class says."""
        if labels.shape[1] != 1 or not np.isin(labels, (0, 1)).all():
            raise ConfigError(
                f"labels: shape {labels.shape} or other values than 0 and 1; attention heads take "
                "one target of 0 and 1; train a head for each target, on the patients that have a "
                "label"
            )
        for value, word in ((0, "negative"), (1, "positive")):
            if not (labels == value).any():
                raise ConfigError(
                    f"training part: no {word} among {len(labels)} patients, but both classes are "
                    "needed; use fewer folds or leave the target out"
                )

    def scale(self, labels: Floats, balanced: bool) -> tuple[Floats, Scale]:
        """Scale nothing, but start at the classes' odds.

        A head that was trained with positives weighed w times gives odds w times too high: King and
        Zeng 2001, Logistic regression in rare events data, Political Analysis 9:137.
        """
        odds = labels.sum(0) / (1 - labels).sum(0)
        weight = float(1 / odds[0]) if balanced else 1.0
        return labels, Scale(np.log(odds * weight), np.array([-np.log(weight)]), np.ones(1), weight)

    def classes(self, labels: Floats) -> Rows:
        """As the base class says."""
        return labels[:, 0].astype(np.intp)

    def can_train(self, labels: Floats) -> bool:
        """Both classes are needed."""
        return len(np.unique(labels)) == 2

    def losses(
        self, outputs: torch.Tensor, labels: torch.Tensor, positive_weight: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy."""
        return functional.binary_cross_entropy_with_logits(
            outputs, labels, reduction="none", pos_weight=positive_weight
        )

    def score_inner(self, labels: Floats, outputs: Floats) -> Floats:
        """AUROC."""
        positive = labels[:, 0]
        both = len(np.unique(positive)) == 2
        return np.array([roc_auc_score(positive, outputs[:, 0]) if both else np.nan])

    def score_test(self, labels: Floats, predicted: Floats) -> Floats:
        """AUROC."""
        return score_auroc(labels, predicted)

    def predict(self, values: Floats) -> Floats:
        """P(positive): logistic, without overflow."""
        return np.asarray(0.5 * (1 + np.tanh(values / 2)))
