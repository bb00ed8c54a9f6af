"""How good predictions are at stated times: AUC and Brier score with censored patients. Pure.

A patient censored before a time says nothing of it; those who are seen count for the others by the
inverse of the share still followed (inverse probability of censoring weights), taken from the
training part.
"""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.draws import Floats
from histo_ray.learn.statistics.kaplan_meier import StepCurve, censoring_curve
from histo_ray.types.signed_times import split_times

FOLLOWED = 0.1
"""Least share of patients still followed up to which survival is scored."""


def score_auc_at(
    signed: Floats, risks: Floats, censoring: StepCurve, times: npt.ArrayLike
) -> Floats:
    """Cumulative/dynamic AUC: do patients with an event by a time have the higher risks?

    Uno et al. 2007, J Am Stat Assoc 102:527; Hung and Chiang 2010, Can J Stat 38:8.
    `sksurv.metrics.cumulative_dynamic_auc` gives the same.

    Args:
        signed: (N,) signed times.
        risks: (N,) higher means earlier.
        censoring: Of the training part.
        times: (S,).

    Returns:
        (S,); nan where nobody had an event by the time, or nobody is known to be without after it.
    """
    at, events = split_times(signed)
    asked = np.asarray(times, np.float64)
    followed = censoring.at(at)
    weights = np.divide(1, followed, out=np.zeros(len(at)), where=events & (followed > 0))
    order = np.unique(risks, return_inverse=True)[1]
    found = np.full(len(asked), np.nan)
    for number, time in enumerate(asked):
        cases, controls = np.where(at <= time, weights, 0.0), at > time
        total = cases.sum() * controls.sum()
        if total > 0:
            counts = np.bincount(order, controls, int(order.max()) + 1)
            below = np.cumsum(counts) - counts / 2
            found[number] = cases @ below[order] / total
    return found


def score_brier_at(
    signed: Floats, survival: Floats, censoring: StepCurve, times: npt.ArrayLike
) -> Floats:
    """Mean squared error of predicted survival at some times; 0 is best.

    Graf et al. 1999, Stat Med 18:2529. `sksurv.metrics.brier_score` gives the same.

    Args:
        signed: (N,) signed times.
        survival: (N, S) predicted probability of no event by each time.
        censoring: Of the training part.
        times: (S,).

    Returns:
        (S,); nan without patients.
    """
    if not len(signed):
        return np.full(len(np.asarray(times)), np.nan)
    return np.asarray(weigh_squares(signed, survival, censoring, times).mean(0))


def weigh_squares(
    signed: Floats, survival: Floats, censoring: StepCurve, times: npt.ArrayLike
) -> Floats:
    """Weighted squared error of each patient and time, (N, S); their means are Brier scores."""
    at, events = split_times(signed)
    asked = np.asarray(times, np.float64)
    own = censoring.at(at)[:, None]
    then = np.broadcast_to(censoring.at(asked), (len(at), len(asked)))
    had = (at[:, None] <= asked) & events[:, None]
    free = at[:, None] > asked
    nothing = np.zeros((len(at), len(asked)))
    of_had = np.divide(survival**2, own, out=nothing.copy(), where=had & (own > 0))
    of_free = np.divide((1 - survival) ** 2, then, out=nothing, where=free & (then > 0))
    return np.asarray(of_had + of_free)


def integrate_over(times: npt.ArrayLike, scores: Floats) -> float:
    """Mean of a score over a range of times, by the trapezoidal rule.

    Args:
        times: (S,) rising, two at least.
        scores: (S,) at these.
    """
    at = np.asarray(times, np.float64)
    return float(np.trapezoid(scores, at) / (at[-1] - at[0]))


def find_horizon(signed: Floats) -> float:
    """Find the time up to which survival is scored: the last at which a tenth is still followed.

    Later events would count ten times and more (`kaplan_meier.censoring_curve`), and a single
    patient could decide a score.

    Args:
        signed: (N,) signed times; nan: no label.

    Returns:
        Just above the last time of an event at which the share still followed is `FOLLOWED` or
        more; nan without one.
    """
    times, events = split_times(signed[~np.isnan(signed)])
    if not events.any():
        return float("nan")
    own = times[events]
    kept = own[censoring_curve(times, events).at(own) >= FOLLOWED]
    return float(np.nextafter(kept.max(), np.inf)) if len(kept) else float("nan")
