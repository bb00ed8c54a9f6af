"""Whether predicted probabilities of an event by a time come true, with censored patients. Pure."""

import numpy as np
from scipy import stats

from histo_ray.learn.cox_fit import fit_cox_path
from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.calibration_scores import CurveBin
from histo_ray.learn.statistics.draws import Floats
from histo_ray.learn.statistics.kaplan_meier import kaplan_meier
from histo_ray.types.signed_times import split_times

_NOTHING = Interval(np.nan, np.nan, np.nan)
_FEWEST = 10
"""Patients of a bin of the curve, at least."""
_TINY = 1e-9
_RIDGE = 1e-8
"""Penalty of the slope, next to nothing: only so that separated patients give a finite number."""


def observe_events(signed: Floats, at: float, level: float = 0.95) -> Interval:
    """Share of patients with an event by a time: 1 less Kaplan-Meier, with Greenwood's interval.

    Args:
        signed: (N,) signed times.
        at: The time.
        level: Of the interval.
    """
    if not len(signed):
        return _NOTHING
    curve = kaplan_meier(*split_times(signed))
    share, error = 1 - float(curve.at(at)), float(curve.error_at(at))
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    return Interval(share, max(0.0, share - reach), min(1.0, share + reach))


def compare_expected(signed: Floats, probability: Floats, at: float) -> Interval:
    """Observed events by a time over those expected: 1 is right, below: predicted too many.

    Args:
        signed: (N,) signed times.
        probability: (N,) of an event by the time.
        at: The time.
    """
    expected = float(probability.mean()) if len(probability) else 0.0
    if expected <= 0:
        return _NOTHING
    observed = observe_events(signed, at)
    return Interval(*(end / expected for end in (observed.estimate, observed.low, observed.high)))


def recalibrate_hazard(signed: Floats, probability: Floats, level: float = 0.95) -> Interval:
    """Calibration slope: that of a Cox regression on log(-log(1 - p)); 1 is right.

    Royston and Altman 2013, BMC Med Res Methodol 13:33. The interval is Wald's.

    Args:
        signed: (N,) signed times.
        probability: (N,) of an event by any one time.
        level: Of the interval.

    Returns:
        nan without an event, or where predictions are all alike.
    """
    kept = np.clip(probability, _TINY, 1 - _TINY)
    hazard = np.log(-np.log1p(-kept))
    if len(signed) < 2 or not (signed > 0).any() or np.ptp(hazard) == 0:
        return _NOTHING
    centred = hazard - hazard.mean()
    (fit,) = fit_cox_path(signed, centred[:, None], [_RIDGE])
    slope = float(fit.weights[0])
    known = _information(signed, centred, slope)
    reach = float(stats.norm.ppf((1 + level) / 2) / np.sqrt(known))
    return Interval(slope, slope - reach, slope + reach)


def bin_events(signed: Floats, probability: Floats, at: float, bins: int = 5) -> list[CurveBin]:
    """Observed against predicted events by a time, in bins of as many patients each.

    Args:
        signed: (N,) signed times.
        probability: (N,) of an event by the time.
        at: The time.
        bins: At most.
    """
    count = max(1, min(bins, len(signed) // _FEWEST))
    if not len(signed):
        return []
    order = np.argsort(probability, kind="stable")
    return [
        CurveBin(len(rows), float(probability[rows].mean()), observe_events(signed[rows], at))
        for rows in np.array_split(order, count)
    ]


def _information(signed: Floats, values: Floats, slope: float) -> float:
    """Fisher information of the slope: variance of (N,) values at risk, summed over events."""
    times, events = split_times(signed)
    total = 0.0
    for time in times[events]:
        rows = times >= time
        risk = np.exp(slope * (values[rows] - values[rows].mean()))
        mean = float(risk @ values[rows] / risk.sum())
        total += float(risk @ (values[rows] - mean) ** 2 / risk.sum())
    return max(total, 1e-300)
