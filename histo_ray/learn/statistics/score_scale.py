"""Scales on which scores are near to normal, so that an interval cannot leave their range. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Transform = Callable[[Floats], Floats]


@dataclass(frozen=True)
class ScoreScale:
    """A monotone transform of a score."""

    name: str
    lowest: float
    """Smallest score that exists; minus infinity: none."""
    highest: float
    """Largest score that exists; infinity: none."""
    forward: Transform
    inverse: Transform
    slope: Transform
    """Derivative of `forward`; infinite at both ends."""


def _same(score: Floats) -> Floats:
    return score


def _fisher_slope(score: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (1 - score**2))


def _logit_slope(score: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (score * (1 - score)))


def _fisher(score: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.arctanh(score))


IDENTITY = ScoreScale("identity", -np.inf, np.inf, _same, _same, np.ones_like)
"""For differences, and scores without a range."""
FISHER_Z = ScoreScale("Fisher's z", -1.0, 1.0, _fisher, np.tanh, _fisher_slope)
"""For correlations: Fisher 1921, Metron 1:3."""
LOGIT = ScoreScale("logit", 0.0, 1.0, special.logit, special.expit, _logit_slope)
"""For shares and areas, as AUROC, concordance and accuracy: Qin and Hotilovac 2008, Stat Methods
Med Res 17:207, doi 10.1177/0962280207087173."""
