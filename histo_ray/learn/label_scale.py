"""The label transform as it was fitted: from a new label to the scale of heads, and back. Pure.

A rank-normal value has a meaning only beside the patients that were ranked: their values are kept
as knots (value, normal score), between which is interpolated.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_KNOTS = 401
"""Values kept of a target; up to so many distinct ones the transform is exact."""


@dataclass(frozen=True)
class LabelScale:
    """The label transform of T targets."""

    transform: str
    """`none`, `log2`, `rank`, `clip`, or empty: none."""
    raw: Floats
    """(T, K) knots as the label table has them, rising; nan beyond those of a target. K is 0 where
    the transform needs none."""
    scaled: Floats
    """(T, K) the same as heads are trained on them."""

    def to_scale(self, values: Floats) -> Floats:
        """Bring labels of new patients to the scale that heads are trained on.

        Args:
            values: (P, T) as a label table has them; nan: missing.

        Returns:
            (P, T); beyond the values that were trained on: that of the nearest one. Under `log2`
            negative values are nan.
        """
        if self.transform == "log2":
            return np.asarray(np.log2(np.where(values > -1, values, np.nan) + 1))
        return self._interpolate(values, self.raw, self.scaled)

    def to_raw(self, values: Floats) -> Floats:
        """Bring (P, T) predictions to the scale of the label table, the inverse of `to_scale`."""
        if self.transform == "log2":
            return np.exp2(values) - 1
        return self._interpolate(values, self.scaled, self.raw)

    def _interpolate(self, values: Floats, start: Floats, end: Floats) -> Floats:
        if not start.shape[1]:
            return values.copy()
        found = np.empty(values.shape)
        for column, (xs, ys) in enumerate(zip(start, end, strict=True)):
            count = int(np.isfinite(xs).sum())
            found[:, column] = np.interp(values[:, column], xs[:count], ys[:count])
        return found


def fit_label_scale(transform: str, raw: Floats, scaled: Floats) -> LabelScale:
    """Keep a label transform as it was fitted.

    Args:
        transform: Its name.
        raw: (P, T) labels as the table has them; nan: missing.
        scaled: (P, T) the same, transformed.
    """
    count = raw.shape[1]
    if transform not in _KNOTS:
        return LabelScale(transform, np.empty((count, 0)), np.empty((count, 0)))
    pairs = [
        _KNOTS[transform](*_distinct(before, after))
        for before, after in zip(raw.T, scaled.T, strict=True)
    ]
    most = max((len(values) for values, _ in pairs), default=0)
    knots = np.full((2, count, most), np.nan)
    for row, both in enumerate(pairs):
        for which, values in enumerate(both):
            knots[which, row, : len(values)] = values
    return LabelScale(transform, knots[0], knots[1])


def _distinct(raw: Floats, scaled: Floats) -> tuple[Floats, Floats]:
    """Distinct values of a target that are there, rising, and what each became."""
    there = ~np.isnan(raw)
    values, first = np.unique(raw[there], return_index=True)
    return values, scaled[there][first]


def _thin(raw: Floats, scaled: Floats) -> tuple[Floats, Floats]:
    """Take at most `MOST_KNOTS` of them, both ends among them."""
    at = np.unique(np.linspace(0, len(raw) - 1, min(len(raw), MOST_KNOTS)).round().astype(np.intp))
    return raw[at], scaled[at]


def _ends(raw: Floats, scaled: Floats) -> tuple[Floats, Floats]:
    """Take the bounds at which values were clipped, or the ends of those that were not."""
    ends = np.unique([scaled.min(), scaled.max()])
    return ends, ends


_KNOTS: dict[str, Callable[[Floats, Floats], tuple[Floats, Floats]]] = {
    "rank": _thin,
    "clip": _ends,
}
