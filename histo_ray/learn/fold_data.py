"""What goes into a head of patients and what comes out. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.learn.covariates import CovariateUse
from histo_ray.learn.harmonise import Harmonise

Floats = npt.NDArray[np.float64]


class PenaltyBy(StrEnum):
    """By what a logistic head chooses its penalty."""

    INNER_FOLDS = "inner-folds"
    ALO = "alo"
    """Approximate leave-one-out, where each row is on its own; else inner folds."""


class FoldPrediction(NamedTuple):
    """What a head predicts of one fold."""

    predicted: Floats
    """(m, T) of the test part: value, or probability of 1; nan where there is no label."""
    choice: Floats
    """(T,) chosen on inner folds; nan where nothing could be."""
    inner_score: Floats
    """(T,) score on inner folds by which it was chosen, higher is better.

    The same for all heads of one kind of targets. Numbers: 1 - SSE / SST of held-out rows, SST
    about the mean of the training part; classes: the mean AUROC of the inner folds, or the AUROC
    of rows left out one at a time.
    """


class RepeatPrediction(NamedTuple):
    """What a head predicts of one repeat."""

    predicted: Floats
    """(P, T) each row as predicted in its fold; nan where it is in none, or has no label."""
    choice: Floats
    """(F, T)."""
    inner_score: Floats
    """(F, T)."""


@dataclass(frozen=True)
class PatientHeadSettings:
    """Which head is trained, and what it chooses from."""

    head: str = "ridge"
    """Name in the registry of heads."""
    choices: tuple[float, ...] = ()
    """Penalties, or components of pls; of equals the first is chosen; empty: the head's own."""
    inner_folds: int = 5
    """Inner folds, to choose on."""
    leave_one_out: bool = True
    """Whether ridge may choose by leaving out one patient at a time. False where heads compete, or
    groups stay together: all heads then choose, and are scored, on the same inner folds."""
    harmonise: Harmonise = Harmonise.NONE
    """What is done to features of sites, inside training parts."""
    covariates: CovariateUse = CovariateUse.NONE
    """Whether the head is trained on images, on covariates, or on images beyond covariates."""
    covariate_head: str = ""
    """Head on covariates, where images are trained beyond them."""
    penalty_by: PenaltyBy = PenaltyBy.INNER_FOLDS
    """By what logistic heads choose."""

    def __post_init__(self) -> None:
        if self.inner_folds < 2:
            raise ConfigError(f"inner_folds: {self.inner_folds}, must be 2 or more")
        if not all(0 < choice < float("inf") for choice in self.choices):
            raise ConfigError(f"choices: {self.choices}, must be finite numbers above 0")


@dataclass(frozen=True)
class FoldData:
    """One fold as a head gets it: it holds no label of the test part."""

    train: Floats
    """(n, D) standardised."""
    targets: Floats
    """(n, T) finite."""
    test: Floats
    """(m, D) standardised by `train`."""
    names: tuple[str, ...]
    """(T,) names of the targets, for messages."""
    groups: npt.NDArray[np.intp] | None
    """(n,) what stays together in inner folds too, as a site; None: each row is on its own."""
    seed: int
    """Seed of the inner folds."""
    choices: tuple[float, ...]
    inner_folds: int
    leave_one_out: bool = True
    """As in `PatientHeadSettings`."""
    penalty_by: PenaltyBy = PenaltyBy.INNER_FOLDS
    """As in `PatientHeadSettings`."""


class FeatureScale(NamedTuple):
    """Scale of the features of a training part, and the range that others are held within."""

    low: Floats
    """(D,) smallest value."""
    high: Floats
    """(D,) largest value."""
    mean: Floats
    """(D,)."""
    scale: Floats
    """(D,) 1 / sd; 0 for a feature that is constant."""

    def hold(self, features: npt.NDArray[np.floating]) -> Floats:
        """Hold (m, D) features within the range."""
        return np.asarray(np.clip(features, self.low, self.high), np.float64)

    def standardise(self, features: npt.NDArray[np.floating]) -> Floats:
        """Hold (m, D) features within the range, then standardise them."""
        return np.asarray((self.hold(features) - self.mean) * self.scale)

    def share_outside(self, features: npt.NDArray[np.floating]) -> Floats:
        """Share of the features of each of (m, D) rows that lie outside the range, (m,)."""
        return np.asarray(((features < self.low) | (features > self.high)).mean(1))


def measure_scale(train: Floats) -> FeatureScale:
    """Measure the scale of the features of a training part.

    Args:
        train: (n, D).
    """
    return _measure(train)[0]


def _measure(train: Floats) -> tuple[FeatureScale, Floats]:
    """Measure the scale, and return (n, D) features less their means, which that needs anyway."""
    mean = train.mean(0)
    centred = train - mean
    sd = np.sqrt((centred * centred).sum(0) / len(train))  # as `train.std(0)`, to the bit
    scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6 * np.abs(mean))
    return FeatureScale(train.min(0), train.max(0), mean, scale), centred


def standardise_by(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Standardise both parts by mean and sd of `train`; a feature that is constant there becomes 0.

    The test part is held within the range of `train` first: a feature that hardly varies among
    those trained on, as a channel that is nearly always 0, would else lie hundreds of sd away in
    one patient, and decide that prediction alone.
    """
    found, centred = _measure(train)
    centred *= found.scale
    return centred, found.standardise(test)
