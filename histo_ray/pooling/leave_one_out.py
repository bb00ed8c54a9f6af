"""Statistics of all rows but one, for each row, without computing them anew. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def means_without_each(columns: Floats) -> Floats:
    """Means of all rows but one, (N, d) from (N, d), N > 1."""
    return np.asarray((columns.sum(axis=0) - columns) / (len(columns) - 1))


def stds_without_each(columns: Floats) -> Floats:
    """Standard deviations (ddof 0) of all rows but one, (N, d) from (N, d), N > 1.

    Taking a row out lowers the sum of squared deviations by N / (N - 1) times its own.
    """
    count = len(columns)
    deviations = columns - columns.mean(axis=0)
    squares = np.square(deviations)
    left = squares.sum(axis=0) - squares * (count / (count - 1))
    return np.asarray(np.sqrt(np.maximum(left, 0) / (count - 1)))


def maxima_without_each(columns: Floats) -> Floats:
    """Maxima of all rows but one, (N, d) from (N, d), N > 1."""
    two = np.partition(columns, len(columns) - 2, axis=0)[-2:]
    first = columns.argmax(axis=0) == np.arange(len(columns))[:, None]
    return np.asarray(np.where(first, two[0], two[1]))


def quantiles_without_each(columns: Floats, at: Sequence[float]) -> list[Floats]:
    """Quantiles of all rows but one, by linear interpolation as `pool_quantiles`.

    Args:
        columns: (N, d), N > 1.
        at: Q fractions, 0..1.

    Returns:
        Q of (N, d).
    """
    order = columns.argsort(axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(columns))[:, None], axis=0)
    ordered = np.take_along_axis(columns, order, axis=0)

    def take(place: int) -> Floats:
        """Number `place` of the sorted rows that are left."""
        return np.asarray(np.where(ranks > place, ordered[place], ordered[place + 1]))

    found = []
    for fraction in at:
        exact = fraction * (len(columns) - 2)
        low = int(np.floor(exact))
        under, over = take(low), take(min(low + 1, len(columns) - 2))
        found.append(np.asarray(under + (over - under) * (exact - low)))
    return found
