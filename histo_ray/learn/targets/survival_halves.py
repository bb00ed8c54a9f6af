"""Patients of higher and of lower out-of-fold risk, and how they survive. Pure.

The halves are made within each fold: risks of two folds come from two heads and have no common
scale, and a split over all of them would put folds apart, not patients. Curves are means over the
repeats; numbers at risk likewise.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics import kaplan_meier, log_rank
from histo_ray.types.signed_times import split_times

Floats = npt.NDArray[np.float64]
FoldIds = npt.NDArray[np.integer]
POINTS = 101
"""Times of a curve, evenly spaced from 0 to the last time."""


class HalfCurve(NamedTuple):
    """Survival of one half; arrays (POINTS,)."""

    times: Floats
    survival: Floats
    at_risk: Floats


def split_halves(fold_ids: FoldIds, risks: npt.NDArray[np.floating]) -> Floats:
    """Split the patients of each fold and repeat at the median risk.

    Args:
        fold_ids: (R, P) fold of each patient; below 0: in none.
        risks: (R, P) out of fold; nan: none.

    Returns:
        (R, P) 1 above the fold's median, 0 at or below it, nan where there is no risk.
    """
    found = np.full(risks.shape, np.nan)
    for repeat, fold in np.ndindex(len(fold_ids), int(fold_ids.max()) + 1):
        rows = (fold_ids[repeat] == fold) & ~np.isnan(risks[repeat])
        if rows.any():
            own = risks[repeat, rows]
            found[repeat, rows] = own > np.median(own)
    return found


def compare_halves(signed: Floats, fold_ids: FoldIds, halves: Floats) -> Floats:
    """Log-rank statistic of the higher half in each fold, (R, F); nan where nothing can differ.

    Args:
        signed: (P,) signed times; nan: no label.
        fold_ids: (R, P).
        halves: (R, P) from `split_halves`.
    """
    found = np.full((len(fold_ids), int(fold_ids.max()) + 1), np.nan)
    for repeat, fold in np.ndindex(found.shape):
        rows = (fold_ids[repeat] == fold) & ~np.isnan(signed) & ~np.isnan(halves[repeat])
        times, events = split_times(signed[rows])
        if events.any():
            found[repeat, fold] = log_rank(times, events, halves[repeat, rows] > 0).z
    return found


def draw_halves(signed: Floats, halves: Floats) -> dict[str, HalfCurve]:
    """Survival of both halves, mean over repeats, as `lower` and `higher`.

    Args:
        signed: (P,) signed times; nan: no label.
        halves: (R, P) from `split_halves`.
    """
    times, events = split_times(signed)
    grid = np.linspace(0.0, float(np.nanmax(times)), POINTS)
    found = {}
    for name, half in (("lower", 0.0), ("higher", 1.0)):
        survival, at_risk = [], []
        for one in halves:
            rows = (one == half) & ~np.isnan(signed)
            if rows.any():
                survival.append(kaplan_meier(times[rows], events[rows]).at(grid))
                at_risk.append((times[rows] >= grid[:, None]).sum(1))
        if survival:
            found[name] = HalfCurve(grid, np.mean(survival, 0), np.mean(at_risk, 0))
    return found
