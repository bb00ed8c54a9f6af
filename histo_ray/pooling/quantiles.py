"""Exact quantiles of the columns of many rows, some columns at a time. Pure."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.store.half_floats import Float32s, widen
from histo_ray.types import Floats

QUANTILES = (0.1, 0.5, 0.9)

_CELLS_AT_ONCE = 1 << 22
"""Numbers sorted together: 16 MiB of float32."""
_COLUMNS_AT_ONCE = 64
_ROWS_AT_ONCE = 4096
_LEAST_COLUMNS = 16
"""Fewer would read most of a cache line in vain."""

Spread = Callable[[Callable[[slice], Float32s], Sequence[slice]], Iterable[Float32s]]
"""`map`, or that of a pool of threads."""


def pool_quantiles(
    bags: Sequence[Floats], at: Sequence[float] = QUANTILES, spread: Spread = map
) -> Float32s:
    """Quantiles of all rows of some bags together.

    Linear interpolation between the two nearest order statistics: type 7 of Hyndman and Fan
    (1996), `numpy.quantile`'s default. A column that holds a nan has nan quantiles.

    Args:
        bags: (N, D) each, of equal D; at least one row in all.
        at: Q fractions, 0..1.
        spread: Maps over the cuts of columns; memory beside the bags holds as many cuts as it
            works on at once.

    Returns:
        (Q D,): all columns' first quantile, then all columns' second, and so on.
    """
    dim, count = bags[0].shape[1], sum(len(bag) for bag in bags)
    size = max(_LEAST_COLUMNS, min(_COLUMNS_AT_ONCE, _CELLS_AT_ONCE // count))
    cuts = [slice(start, min(dim, start + size)) for start in range(0, dim, size)]
    found = list(spread(lambda cut: _measure_columns(bags, cut, at), cuts))
    return np.concatenate(found, axis=1).reshape(-1)


def pool_median(bags: Sequence[Floats], spread: Spread = map) -> Float32s:
    """The median of all rows of some bags, (D,)."""
    return pool_quantiles(bags, (0.5,), spread)


def _measure_columns(bags: Sequence[Floats], cut: slice, at: Sequence[float]) -> Float32s:
    """Quantiles of some columns, (Q, columns)."""
    count = sum(len(bag) for bag in bags)
    columns = np.empty((cut.stop - cut.start, count), np.float32)
    done = 0
    for bag in bags:
        for start in range(0, len(bag), _ROWS_AT_ONCE):
            close = bag[start : start + _ROWS_AT_ONCE, cut].copy()  # turning far rows takes 4 times
            columns[:, done : done + len(close)] = widen(close.T.copy())
            done += len(close)
    columns.sort(axis=1)  # nan last
    found = np.stack([_interpolate(columns, fraction) for fraction in at])
    found[:, np.isnan(columns[:, -1])] = np.nan
    return found.astype(np.float32)


def _interpolate(columns: Float32s, fraction: float) -> npt.NDArray[np.float64]:
    """One quantile of each row of sorted numbers."""
    place = fraction * (columns.shape[1] - 1)
    low = int(np.floor(place))
    under = columns[:, low].astype(np.float64)
    over = columns[:, min(low + 1, columns.shape[1] - 1)].astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf and 0 inf, which are not chosen
        between = under + (over - under) * (place - low)
    return np.where((under == over) | (place == low), under, between)
