"""Survival and censoring of patients without a model: Kaplan-Meier, follow-up, log-rank. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class StepCurve(NamedTuple):
    """A share of patients that falls in steps; arrays (K,)."""

    times: Floats
    """Rising; each distinct time of an event or of censoring."""
    share: Floats
    """From each time on, until the next; 1 before the first."""
    at_risk: Floats
    """Patients still followed just before each time."""
    error: Floats
    """Standard error of the share: Greenwood 1926."""

    def at(self, times: npt.ArrayLike) -> Floats:
        """Share at some times, of any shape; after the last time it stays as it is there."""
        place = np.searchsorted(self.times, np.asarray(times, np.float64), side="right")
        return np.concatenate([[1.0], self.share])[place]

    def error_at(self, times: npt.ArrayLike) -> Floats:
        """Standard error of the share at some times; 0 before the first."""
        place = np.searchsorted(self.times, np.asarray(times, np.float64), side="right")
        return np.concatenate([[0.0], self.error])[place]

    def median(self) -> float:
        """First time at which the share is one half or less; nan if it never is."""
        below = np.flatnonzero(self.share <= 0.5)
        return float(self.times[below[0]]) if len(below) else float("nan")


def kaplan_meier(times: Floats, events: Flags) -> StepCurve:
    """Share of patients without an event: Kaplan and Meier 1958, J Am Stat Assoc 53:457.

    `sksurv.nonparametric.kaplan_meier_estimator` gives the same.

    Args:
        times: (N,) of the event or of censoring.
        events: (N,) whether there was one.
    """
    distinct, happened, _, at_risk = _count(times, events)
    return _fall(distinct, happened, at_risk, at_risk)


def censoring_curve(times: Floats, events: Flags) -> StepCurve:
    """Share of patients who would still be followed: Kaplan-Meier with censoring as the event.

    Also called reverse Kaplan-Meier; its median is the median follow-up (Schemper and Smith 1996,
    Control Clin Trials 17:343). Events at the time of a censoring come before it.
    """
    distinct, happened, censored, at_risk = _count(times, events)
    return _fall(distinct, censored, at_risk - happened, at_risk)


class LogRank(NamedTuple):
    """Events of a group beyond those expected, and their variance if groups are alike."""

    excess: float
    variance: float

    @property
    def z(self) -> float:
        """Excess over its standard error; nan where nothing can differ."""
        return self.excess / float(np.sqrt(self.variance)) if self.variance > 0 else float("nan")


def log_rank(times: Floats, events: Flags, group: Flags) -> LogRank:
    """Compare a group with the others: Mantel 1966, Cancer Chemother Rep 50:163.

    The square of `z` is the statistic of `sksurv.compare.compare_survival`.

    Args:
        times: (N,).
        events: (N,).
        group: (N,) who is in the group.
    """
    distinct, happened, _, at_risk = _count(times, events)
    sorted_group = np.sort(times[group])
    own_risk = len(sorted_group) - np.searchsorted(sorted_group, distinct, side="left")
    own = _count_at(times[group & events], distinct)
    share = own_risk / np.maximum(at_risk, 1)
    expected = happened * share
    rest = np.divide(
        at_risk - happened, at_risk - 1, out=np.zeros(len(distinct)), where=at_risk > 1
    )
    return LogRank(
        float((own - expected).sum()), float((happened * share * (1 - share) * rest).sum())
    )


def _count(times: Floats, events: Flags) -> tuple[Floats, Floats, Floats, Floats]:
    """Distinct times, and at each the events, the censored, and who was at risk before it."""
    distinct, at = np.unique(times, return_inverse=True)
    happened = np.bincount(at, events.astype(np.float64), len(distinct)).astype(np.float64)
    total = np.bincount(at, minlength=len(distinct)).astype(np.float64)
    at_risk = len(times) - np.concatenate([[0.0], np.cumsum(total)[:-1]])
    return distinct, happened, total - happened, at_risk


def _count_at(some: Floats, distinct: Floats) -> Floats:
    return np.bincount(np.searchsorted(distinct, some), minlength=len(distinct)).astype(np.float64)


def _fall(times: Floats, lost: Floats, of: Floats, at_risk: Floats) -> StepCurve:
    share = np.cumprod(1 - np.divide(lost, of, out=np.zeros(len(lost)), where=lost > 0))
    left = of * (of - lost)
    terms = np.divide(lost, left, out=np.zeros(len(lost)), where=left > 0)
    return StepCurve(times, share, at_risk, share * np.sqrt(np.cumsum(terms)))
