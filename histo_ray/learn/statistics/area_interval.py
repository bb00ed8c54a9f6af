"""How far areas of a fixed predictor could be others with other patients: ROC, precision. Pure."""

import numpy as np
from scipy import optimize, special, stats

from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.proportions import wilson_interval
from histo_ray.learn.statistics.ranking import Placements


def area_interval(placements: Placements, level: float = 0.95) -> Interval:
    """Interval of an AUROC of a predictor that has seen none of these patients.

    DeLong's variance (1988, Biometrics 44:837), carried to the logit scale by the delta method,
    where the area is nearer to normal and an interval cannot leave 0 to 1: Qin and Hotilovac 2008,
    Stat Methods Med Res 17:207, doi 10.1177/0962280207087173. Where classes are wholly apart that
    variance is 0 and says nothing: the interval is then the score interval of Newcombe 2006,
    Stat Med 25:559, method 5 (doi 10.1002/sim.2324).

    Args:
        placements: From `place_classes`, of one repeat.
        level: Of the interval.

    Returns:
        nan for both ends with fewer than two of a class.
    """
    above, below = placements
    area = float(above.mean())
    if min(len(above), len(below)) < 2:
        return Interval(area, np.nan, np.nan)
    z = float(stats.norm.ppf((1 + level) / 2))
    variance = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    if variance <= 0 or not 0 < area < 1:
        return _score_interval(area, len(above), len(below), z)
    reach = z * np.sqrt(variance) / (area * (1 - area))
    low, high = special.expit(special.logit(area) + np.array([-reach, reach]))
    return Interval(area, float(low), float(high))


def precision_interval(precision: float, positives: int, level: float = 0.95) -> Interval:
    """Interval of an average precision of a predictor that has seen none of these patients.

    Wilson's interval of a share of the m positives: an average precision varies like one, with
    variance p (1 - p) / m (Boyd, Eng and Page 2013, Area under the precision-recall curve: point
    estimates and confidence intervals, ECML PKDD, doi 10.1007/978-3-642-40994-3_29). They carry it
    to the logit scale, where it covers as well but is endless near 1: 0.999 of 32 positives had
    0.013 to 1. Percentile bootstraps are too narrow (`python -m benchmarks.truth_external` has the
    coverage).

    Args:
        precision: As observed, above 0.
        positives: m.
        level: Of the interval.

    Returns:
        nan for both ends with fewer than two positives.
    """
    if positives < 2:
        return Interval(precision, np.nan, np.nan)
    found = wilson_interval(precision * positives, positives, level)
    return Interval(precision, found.low, found.high)


def _score_interval(area: float, m: int, n: int, z: float) -> Interval:
    """Areas that lie z of their own standard errors from the observed one."""

    def excess(other: float) -> float:
        size = (m + n) / 2 - 1
        spread = 1 + size * ((1 - other) / (2 - other) + other / (1 + other))
        return float((area - other) ** 2 - z**2 * other * (1 - other) * spread / (m * n))

    low = 0.0 if area <= 0 else float(optimize.brentq(excess, 0.0, area - 1e-12))
    high = 1.0 if area >= 1 else float(optimize.brentq(excess, area + 1e-12, 1.0))
    return Interval(area, low, high)
