"""Scales of scores: what an interval is made on, so that it stays in their range. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bound = Callable[[Floats, Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class ScoreScale:
    """How far from a score the expected score may be, given the reach of the score itself."""

    name: str
    lowest: float
    """Smallest score that exists; minus infinity: none."""
    highest: float
    """Largest score that exists; infinity: none."""
    bound: Bound
    """(T,) scores within the range and (T,) reaches, a quantile times the standard error of the
    score, to both ends of intervals. As wide as the score -+ reach where that is short."""

    @property
    def span(self) -> float:
        """Largest difference of two scores."""
        return self.highest - self.lowest


def _bound_plainly(score: Floats, reach: Floats) -> tuple[Floats, Floats]:
    return score - reach, score + reach


def _bound_correlation(score: Floats, reach: Floats) -> tuple[Floats, Floats]:
    """Fisher's z -+ reach times its slope, 1 / (1 - score^2): the delta method."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, wide = np.arctanh(score), reach / (1 - score**2)
        return np.tanh(middle - wide), np.tanh(middle + wide)


def _bound_share(score: Floats, reach: Floats) -> tuple[Floats, Floats]:
    """Wilson's interval of as many units as would give the standard error.

    All p with |p - score| <= reach * sqrt(p (1 - p) / (score (1 - score))). With n units the
    standard error of a share is sqrt(score (1 - score) / n), so k = quantile^2 / n is
    reach^2 / (score (1 - score)).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        k = reach**2 / (score * (1 - score))
        half = np.sqrt(reach**2 + k**2 / 4)
        return (score + k / 2 - half) / (1 + k), (score + k / 2 + half) / (1 + k)


IDENTITY = ScoreScale("identity", -np.inf, np.inf, _bound_plainly)
"""For differences, and scores without a range."""
FISHER_Z = ScoreScale("Fisher's z", -1.0, 1.0, _bound_correlation)
"""For correlations: Fisher 1921, Metron 1:3."""
SHARE = ScoreScale("share", 0.0, 1.0, _bound_share)
"""For shares and areas, as AUROC, concordance and accuracy: the score interval of Wilson 1927, J Am
Stat Assoc 22:209, with an effective number of units. The delta method on the logit was given up:
near 1 its slope made AUROCs of 0.97 reach below 0.5 (docs/statistics.md)."""
