"""Cox regression with a ridge penalty: partial likelihood, Newton's method, baseline hazard. Pure.

Cox 1972, J R Stat Soc B 34:187; tied events by Efron 1977, J Am Stat Assoc 72:557, whose risk sets
take a part of each tied patient out, one event after another. Features come on the principal
components of their own rows (`ridge.decompose_features`), so 2,048 features of 300 patients are 300
coordinates and nothing is lost: Hastie and Tibshirani 2004, Biostatistics 5:329. Coefficients are
those of scikit-survival's CoxPHSurvivalAnalysis(alpha=penalty, ties="efron").
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from sklearn.exceptions import ConvergenceWarning

from histo_ray.learn.fold_data import Floats
from histo_ray.types.signed_times import split_times

TOLERANCE = 1e-4
"""Largest change of a log-hazard in the last step; Newton's error after it is about its square."""
MOST_STEPS = 60
_SMALLEST = 2.0**-40
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class RiskSets:
    """Who was at risk at each event: patients by falling time, so that a risk set is a prefix."""

    order: Places
    """(n,) patients, longest time first."""
    last: Places
    """(E,) number of patients at risk at each event."""
    tied: Places
    """(E,) number of the event's time among the distinct times of events."""
    share: Floats
    """(E,) part of the tied patients that is taken out (Efron); 0 where no other event is tied."""
    events: Places
    """(E,) place of each event in `order`."""
    times: Floats
    """(E,) of the events."""

    @cached_property
    def has_ties(self) -> bool:
        """Whether any two events have the same time."""
        return bool(self.share.any())


def list_risk_sets(signed: Floats) -> RiskSets:
    """List the risk sets of (n,) signed times; patients censored at an event's time are at risk."""
    times, happened = split_times(signed)
    order = np.argsort(-times, kind="stable")
    ordered, happened = times[order], happened[order]
    events = np.flatnonzero(happened)
    own = ordered[events]
    last = np.searchsorted(-ordered, -own, side="right")
    _, tied, counts = np.unique(own, return_inverse=True, return_counts=True)
    rank = np.arange(len(own)) - np.searchsorted(-own, -own, side="left")
    return RiskSets(order, last, tied, rank / counts[tied], events, own)


def score_partial(sets: RiskSets, log_hazard: Floats) -> float:
    """Log partial likelihood (Efron) of (n,) log-hazards, up to nothing: 0 events give 0."""
    if not len(sets.events):
        return 0.0
    ordered = log_hazard[sets.order]
    top = ordered.max()
    risk = np.exp(ordered - top)
    return float(ordered[sets.events].sum() - (np.log(_sum_risks(sets, risk)) + top).sum())


class CoxFit(NamedTuple):
    """Coefficients of one penalty."""

    weights: Floats
    """(r,) of the coordinates that it was trained on."""
    log_hazard: Floats
    """(n,) of the patients that it was trained on."""


def fit_cox_path(signed: Floats, coords: Floats, penalties: Sequence[float]) -> list[CoxFit]:
    """Minimise -(log partial likelihood) + penalty / 2 |w|^2.

    Args:
        signed: (n,) signed times, one event at least.
        coords: (n, r) coordinates.
        penalties: Above 0; each starts where the last ended, so sorted ones are quick.

    Returns:
        One a penalty.
    """
    sets = list_risk_sets(signed)
    ordered = np.ascontiguousarray(coords[sets.order])
    weights = np.zeros(coords.shape[1])
    fits = []
    for penalty in penalties:
        weights = _fit(sets, ordered, float(penalty), weights)
        fits.append(CoxFit(weights, coords @ weights))
    return fits


def measure_baseline(signed: Floats, log_hazard: Floats) -> tuple[Floats, Floats]:
    """Baseline cumulative hazard after each distinct time of an event.

    Breslow 1972, J R Stat Soc B 34:216: events over the sum of hazards at risk.

    Args:
        signed: (n,) signed times.
        log_hazard: (n,) of the same patients; 0 is the baseline.

    Returns:
        Times (K,), rising, and cumulative hazards (K,); both empty without an event.
    """
    sets = list_risk_sets(signed)
    risk = np.cumsum(np.exp(log_hazard[sets.order]))
    times, at = np.unique(sets.times, return_inverse=True)
    if not len(times):
        return times, times
    steps = np.bincount(at, 1 / risk[sets.last - 1], len(times))
    return times, np.cumsum(steps)


def hazard_at(times: Floats, hazard: Floats, at: npt.ArrayLike) -> Floats:
    """Cumulative hazard of a step function at some times; 0 before its first step.

    Args:
        times: (K,) of its steps, rising.
        hazard: (K,) from each step on.
        at: Times asked for, of any shape.
    """
    place = np.searchsorted(times, np.asarray(at, np.float64), side="right")
    return np.concatenate([[0.0], hazard])[place]


def predict_survival(log_hazard: Floats, baseline: Floats) -> Floats:
    """Probability of no event, exp(-H0(t) exp(risk)), under proportional hazards.

    Args:
        log_hazard: (N,).
        baseline: (S,) cumulative hazard of log-hazard 0.

    Returns:
        (N, S).
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-np.exp(log_hazard)[:, None] * baseline))


def _sum_risks(sets: RiskSets, risk: Floats) -> Floats:
    """(E,) hazards at risk at each event, less the part of tied events that is taken out."""
    found = np.cumsum(risk)[sets.last - 1]
    if sets.has_ties:
        found = found - sets.share * np.bincount(sets.tied, risk[sets.events])[sets.tied]
    return np.asarray(found)


def _fit(sets: RiskSets, coords: Floats, penalty: float, weights: Floats) -> Floats:
    """Newton's method with steps halved until the objective falls; rows are in `sets.order`."""
    log_hazard = coords @ weights
    lowest = _objective(sets, log_hazard, weights, penalty)
    for _ in range(MOST_STEPS):
        step = _newton_step(sets, coords, log_hazard, weights, penalty)
        change = coords @ step
        length = 1.0
        while length > _SMALLEST:
            trial = weights + length * step
            found = _objective(sets, log_hazard + length * change, trial, penalty)
            if found <= lowest + 1e-12 * abs(lowest):
                break
            length /= 2
        weights, log_hazard, lowest = trial, log_hazard + length * change, found
        if length * np.abs(change).max(initial=0.0) < TOLERANCE:
            return np.asarray(weights)
    warnings.warn(
        f"Cox regression, penalty {penalty:g}: not at rest after {MOST_STEPS} Newton steps",
        ConvergenceWarning,
        stacklevel=2,
    )
    return np.asarray(weights)


def _objective(sets: RiskSets, log_hazard: Floats, weights: Floats, penalty: float) -> float:
    top = log_hazard.max()
    risks = _sum_risks(sets, np.exp(log_hazard - top))
    fitted = log_hazard[sets.events].sum() - (np.log(risks) + top).sum()
    return float(penalty / 2 * (weights @ weights) - fitted)


def _newton_step(
    sets: RiskSets, coords: Floats, log_hazard: Floats, weights: Floats, penalty: float
) -> Floats:
    """Solve for the step: the Hessian is a weighted Gram matrix less those of risk sets' means."""
    risk = np.exp(log_hazard - log_hazard.max())
    inverse = 1 / _sum_risks(sets, risk)
    means = np.cumsum(risk[:, None] * coords, axis=0)[sets.last - 1]
    # events that each patient was at risk at, each over what was at risk
    own = np.bincount(sets.last - 1, inverse, len(risk))[::-1].cumsum()[::-1]
    if sets.has_ties:
        count = int(sets.tied.max()) + 1
        sums = np.zeros((count, coords.shape[1]))
        np.add.at(sums, sets.tied, risk[sets.events, None] * coords[sets.events])
        means = means - sets.share[:, None] * sums[sets.tied]
        taken = np.bincount(sets.tied, sets.share * inverse, count)
        own[sets.events] -= taken[sets.tied]
    means = means * inverse[:, None]
    fitted = risk * own
    gradient = coords[sets.events].sum(0) - fitted @ coords - penalty * weights
    scaled = coords * np.sqrt(np.maximum(fitted, 0.0))[:, None]
    hessian = scaled.T @ scaled - means.T @ means
    hessian.flat[:: len(weights) + 1] += penalty
    _, step, failed = lapack.dposv(hessian.T, gradient, overwrite_a=1)
    if failed:
        raise FloatingPointError(f"Cox regression, penalty {penalty:g}: curvature is not positive")
    return np.asarray(step)
