"""What a kind of targets says of its training by MIL networks."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from histo_ray.learn.heads.linear_fit import Link
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class Scale(NamedTuple):
    """Between labels and outputs of the network."""

    start: Floats
    """(T,) output before training."""
    shift: Floats
    """(T,) added to a scaled output: back to the labels, or to the log odds of true shares."""
    spread: Floats
    """(T,) that an output is multiplied by."""
    positive_weight: float
    """Weight of a positive in the loss; a negative's is 1."""


class MilKind(ABC):
    """One kind of targets."""

    kind: ClassVar[TargetKind]
    link: ClassVar[Link]
    """From scaled-back outputs to predictions."""
    joint: ClassVar[bool]
    """Whether targets that share their folds are trained together, by a network with an output for
    each; else each has networks of its own."""

    @abstractmethod
    def check(self, labels: Floats) -> None:
        """Refuse labels that no head can be trained on.

        Args:
            labels: (n, T) of a training part.

        Raises:
            ConfigError: They are such labels.
        """

    @abstractmethod
    def scale(self, labels: Floats, balanced: bool) -> tuple[Floats, Scale]:
        """Scale labels to what the network is trained on.

        Args:
            labels: (n, T) of the training part.
            balanced: Whether all classes weigh the same in the loss.

        Returns:
            (n, T), and the scale that leads back.
        """

    @abstractmethod
    def classes(self, labels: Floats) -> Rows | None:
        """Classes, (n,), of which each part has its share; None: there are none."""

    @abstractmethod
    def can_train(self, labels: Floats) -> bool:
        """Whether a part of a training part, its (m, T) labels, can move weights."""

    @abstractmethod
    def losses(
        self, outputs: torch.Tensor, labels: torch.Tensor, positive_weight: torch.Tensor
    ) -> torch.Tensor:
        """Loss of each bag and target, (B, T).

        Args:
            outputs: (B, T) of the network.
            labels: (B, T) scaled; 0 where there is none.
            positive_weight: Of `Scale`.
        """

    @abstractmethod
    def score_inner(self, labels: Floats, outputs: Floats) -> Floats:
        """Score held-out bags, by what `FoldPrediction.inner_score` is for this kind.

        Args:
            labels: (n, T) scaled, nan where there is none.
            outputs: (n, T) of the network.

        Returns:
            (T,), 1 the best; nan where labels do not differ.
        """

    @abstractmethod
    def score_test(self, labels: Floats, predicted: Floats) -> Floats:
        """Score (n, T) predictions of a test part by the metric that decides, (T,)."""

    @abstractmethod
    def predict(self, values: Floats) -> Floats:
        """Predictions, of any shape, from outputs that are scaled back."""
