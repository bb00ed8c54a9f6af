"""The label transform as it was fitted: from a new label to the scale of heads, and back. Pure.

A rank-normal value has a meaning only beside the patients that were ranked: their values are kept
as knots (value, normal score), between which is interpolated.
"""

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
            (P, T); beyond the values that were trained on: that of the nearest one.
        """
        raise NotImplementedError

    def to_raw(self, values: Floats) -> Floats:
        """Bring (P, T) predictions to the scale of the label table, the inverse of `to_scale`."""
        raise NotImplementedError


def fit_label_scale(transform: str, raw: Floats, scaled: Floats) -> LabelScale:
    """Keep a label transform as it was fitted.

    Args:
        transform: Its name.
        raw: (P, T) labels as the table has them; nan: missing.
        scaled: (P, T) the same, transformed.
    """
    raise NotImplementedError
