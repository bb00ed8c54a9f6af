"""Net benefit of acting on predicted probabilities. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

THRESHOLDS: Floats = np.arange(1, 100) / 100
"""Probabilities from which on somebody might act."""


class NetBenefit(NamedTuple):
    """Net benefit at each of K thresholds, in true positives a patient."""

    model: Floats
    """(K,) of acting on those whose probability is at least the threshold."""
    error: Floats
    """(K,) its standard error over patients, with predictions held fixed."""
    everyone: Floats
    """(K,) of acting on all patients; of acting on none it is 0."""


def score_net_benefit(
    truth: Floats, probability: Floats, thresholds: Floats = THRESHOLDS
) -> NetBenefit:
    """Net benefit: TP / n - FP / n * p / (1 - p) at threshold p, averaged over repeats.

    Vickers and Elkin 2006, Med Decis Making 26:565, doi 10.1177/0272989X06295361.

    Args:
        truth: (N,) 0 or 1.
        probability: (R, N) of being positive, in R repeats.
        thresholds: (K,) between 0 and 1, both excluded.

    Returns:
        nan without patients.
    """
    if probability.ndim != 2 or truth.shape != probability.shape[1:]:
        raise ValueError(
            f"truth {truth.shape}, probability {probability.shape}: must be (N,) and (R, N)"
        )
    odds = thresholds / (1 - thresholds)
    gain = np.where(truth > 0, 1.0, -odds[:, None])  # (K, N) of acting
    count = len(truth)
    if not count:
        nothing = np.full(len(thresholds), np.nan)
        return NetBenefit(nothing, nothing, nothing)
    acted = np.stack([(probability >= p).mean(0) for p in thresholds])  # (K, N)
    each = acted * gain
    spread = each.std(1, ddof=1) if count > 1 else np.full(len(thresholds), np.nan)
    return NetBenefit(each.mean(1), spread / np.sqrt(count), gain.mean(1))
