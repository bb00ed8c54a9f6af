"""A fitted linear head: standardisation, weights and link. Pure.

All heads of patients' vectors are linear in the features, so one type holds each of them, and its
decision value for a mean-pooled patient is the mean of what the tiles contribute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import FeatureScale, Floats

Vectors = npt.NDArray[np.floating]


class Link(StrEnum):
    """From decision values to predictions."""

    IDENTITY = "identity"
    """The prediction is the decision value."""
    LOGISTIC = "logistic"
    """Decision values are log-odds, predictions probabilities, each target on its own."""
    SOFTMAX = "softmax"
    """Decision values are logits of classes, predictions probabilities that add up to 1."""


class HeadWeights(NamedTuple):
    """What a linear head is after training, on standardised features."""

    weights: Floats
    """(D, T)."""
    bias: Floats
    """(T,)."""
    choice: Floats
    """(T,) chosen on inner folds; see `FoldPrediction`."""
    inner_score: Floats
    """(T,) score on inner folds by which it was chosen, higher is better; nan without one."""


@dataclass(frozen=True)
class LinearFit:
    """A trained linear head of T targets on D features, for raw features."""

    targets: tuple[str, ...]
    """(T,) names."""
    scale: FeatureScale
    """Range, mean and scale of the training part, each (D,)."""
    weights: Floats
    """(D, T) of standardised features."""
    bias: Floats
    """(T,)."""
    link: Link
    choice: Floats
    """(T,)."""
    inner_score: Floats
    """(T,)."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        dim, count = self.weights.shape
        if len(self.targets) != count or any(len(part) != dim for part in self.scale):
            raise ConfigError(
                f"linear head: weights {self.weights.shape} for {len(self.targets)} targets and "
                f"{len(self.scale.mean)} features; they must fit each other: fit it again"
            )

    @property
    def dim(self) -> int:
        """D."""
        return int(self.weights.shape[0])

    @property
    def raw_weights(self) -> Floats:
        """(D, T) weights of raw features."""
        return np.asarray(self.weights * self.scale.scale[:, None])

    @property
    def raw_bias(self) -> Floats:
        """(T,) bias beside `raw_weights`."""
        return np.asarray(self.bias - self.scale.mean @ self.raw_weights)

    def take(self, columns: Sequence[int]) -> "LinearFit":
        """Take some targets."""
        at = np.asarray(columns, np.intp)
        return LinearFit(
            tuple(self.targets[column] for column in columns),
            self.scale,
            self.weights[:, at],
            self.bias[at],
            self.link,
            self.choice[at],
            self.inner_score[at],
        )

    def decide(self, features: Vectors) -> Floats:
        """Decision values, before the link, of features held within the training part's range.

        Args:
            features: (m, D) raw.

        Returns:
            (m, T).

        Raises:
            ConfigError: Features of another width.
        """
        self._check_width(features)
        return np.asarray(self.scale.standardise(features) @ self.weights + self.bias)

    def predict(self, features: Vectors) -> Floats:
        """Predict (m, T) from (m, D) raw features: values, or probabilities."""
        return apply_link(self.link, self.decide(features))

    def contribute(self, tiles: Vectors, pooled: npt.NDArray[np.floating]) -> Floats:
        """Contribution of each tile to the decision value of its mean-pooled patient.

        The mean over all tiles of the patient is `decide(pooled)`. Where the patient lies outside
        the training part's range, `decide` holds the pooled vector at that range; what this takes
        away is taken from all tiles alike.

        Args:
            tiles: (N, D) raw vectors of tiles; any part of the patient's.
            pooled: (D,) mean of all tiles of the patient.

        Returns:
            (N, T), before the link.

        Raises:
            ConfigError: Vectors of another width.
        """
        self._check_width(tiles)
        raw = self.raw_weights
        held = self.scale.hold(pooled[None])[0]
        offset = (held - pooled.astype(np.float64)) @ raw + self.raw_bias
        return np.asarray(tiles.astype(np.float64) @ raw + offset)

    def _check_width(self, features: Vectors) -> None:
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ConfigError(
                f"features: shape {features.shape}, must be (rows, {self.dim}); use the encoder "
                "and pooling of the predictor"
            )


def apply_link(link: Link, decisions: Floats) -> Floats:
    """Turn (m, T) decision values into predictions."""
    if link is Link.LOGISTIC:
        return np.asarray(expit(decisions))
    if link is Link.SOFTMAX:
        return np.asarray(softmax(decisions, axis=1))
    return decisions
