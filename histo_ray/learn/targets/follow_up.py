"""How long patients were followed, and the times that scores are given at. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics import censoring_curve, find_horizon
from histo_ray.types.signed_times import split_times

Floats = npt.NDArray[np.float64]
QUARTILES = (0.25, 0.5, 0.75)
"""Of the times of events: at which scores are given where no times are stated."""


class FollowUp(NamedTuple):
    """In words, as a caveat holds them."""

    medians: tuple[str, ...]
    """`OS 34.2` for each endpoint; `OS not reached`."""
    beyond: tuple[str, ...]
    """`OS at 60` for each stated time after which fewer than a tenth are followed."""


def measure_follow_up(signed: Floats) -> float:
    """Median follow-up by reverse Kaplan-Meier.

    Schemper and Smith 1996, Control Clin Trials 17:343.

    Args:
        signed: (N,) signed times; nan: no label.

    Returns:
        In the unit of the times; nan where half of the patients had an event before being lost.
    """
    return censoring_curve(*split_times(signed[~np.isnan(signed)])).median()


def choose_times(signed: Floats, stated: Sequence[float]) -> Floats:
    """Times at which scores are given: those that are stated, else quartiles of events' times."""
    if stated:
        return np.asarray(stated, np.float64)
    times, events = split_times(signed[~np.isnan(signed)])
    return np.unique(np.quantile(times[events], QUARTILES)) if events.any() else np.empty(0)


def describe_follow_up(targets: Sequence[str], values: Floats, stated: Sequence[float]) -> FollowUp:
    """Describe the follow-up of each endpoint.

    Args:
        targets: (T,) names.
        values: (P, T) signed times.
        stated: Times at which scores are asked for.
    """
    medians, beyond = [], []
    for name, signed in zip(targets, values.T, strict=True):
        median = measure_follow_up(signed)
        medians.append(f"{name} {'not reached' if np.isnan(median) else f'{median:.4g}'}")
        horizon = find_horizon(signed)
        beyond += [f"{name} at {time:g}" for time in stated if time > horizon]
    return FollowUp(tuple(medians), tuple(beyond))
