"""Shares of patients, with intervals. Pure."""

import numpy as np
from scipy import stats

from histo_ray.learn.statistics.bootstrap import Interval


def wilson_interval(successes: float, trials: int, level: float = 0.95) -> Interval:
    """Score interval of a share.

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n): Wilson 1927, J Am Stat
    Assoc 22:209. It has a width even where the share is 0 or 1, and never leaves 0 to 1.

    Args:
        successes: How many of the trials; a broken number where each counts in part.
        trials: n; 0: there is no share.
        level: Of the interval.

    Returns:
        The share; nan without a trial.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials}: must lie between 0 and all")
    if not trials:
        return Interval(np.nan, np.nan, np.nan)
    z = float(stats.norm.ppf((1 + level) / 2))
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    reach = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low, high = max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)
    return Interval(
        share, float(low if successes else 0.0), float(high if successes < trials else 1.0)
    )
