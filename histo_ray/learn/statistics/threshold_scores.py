"""What calls at a threshold that was fixed beforehand are worth. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.proportions import wilson_interval


class ThresholdScores(NamedTuple):
    """Shares of patients with Wilson's interval; nan where there is nobody to take a share of."""

    sensitivity: Interval
    """Share of the positives that are called positive."""
    specificity: Interval
    """Share of the negatives that are called negative."""
    ppv: Interval
    """Share of those called positive that are; it depends on how frequent positives are."""
    npv: Interval
    """Share of those called negative that are; likewise."""


def score_calls(
    truth: npt.NDArray[np.floating], called: npt.NDArray[np.bool_], level: float = 0.95
) -> ThresholdScores:
    """Score calls of one target.

    The threshold must come from other patients; one that is chosen on these flatters all four.

    Args:
        truth: (N,) 0 or 1.
        called: (N,) whether each patient is called positive.
        level: Of the intervals.
    """
    if truth.shape != called.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape}, called {called.shape}: must both be (N,)")
    positive = truth > 0
    hits, rejections = int((positive & called).sum()), int((~positive & ~called).sum())
    return ThresholdScores(
        wilson_interval(hits, int(positive.sum()), level),
        wilson_interval(rejections, int((~positive).sum()), level),
        wilson_interval(hits, int(called.sum()), level),
        wilson_interval(rejections, int((~called).sum()), level),
    )
