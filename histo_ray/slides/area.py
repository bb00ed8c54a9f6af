"""Weights that turn one row of pixels into fewer (area averages) or slightly more. Pure."""

from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache(maxsize=64)
def axis_weights(extent: float, count: int) -> Any:
    """Weights of `count` output px that share `extent` input px evenly.

    Shrinking, an output px is the exact average of the stretch that it covers, fractions of input
    px included. Enlarging, it is interpolated linearly between the centres of input px.

    Args:
        extent: Length covered, in input px, from the first one's edge; need not be whole.
        count: Output px.

    Returns:
        (count, ceil(extent)) float32 scipy CSR array; each row sums to 1.
    """
    if extent < count:
        return _linear(extent, count)
    return _average(extent, count)


def _average(extent: float, count: int) -> Any:
    from scipy import sparse

    edges = np.arange(count + 1) * (extent / count)
    first = np.floor(edges[:-1] + 1e-9).astype(np.int64)
    last = np.maximum(np.ceil(edges[1:] - 1e-9).astype(np.int64), first + 1)
    spans = last - first
    rows = np.repeat(np.arange(count), spans)
    columns = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans) + first[rows]
    covered = np.minimum(columns + 1, edges[rows + 1]) - np.maximum(columns, edges[rows])
    sums = np.bincount(rows, covered, count)
    weights = (covered / sums[rows]).astype(np.float32)
    return sparse.csr_array((weights, (rows, columns)), shape=(count, _length(extent)))


def _linear(extent: float, count: int) -> Any:
    from scipy import sparse

    length = _length(extent)
    centres = np.clip((np.arange(count) + 0.5) * (extent / count) - 0.5, 0, length - 1)
    left = np.minimum(np.floor(centres).astype(np.int64), max(0, length - 2))
    right = np.minimum(left + 1, length - 1)
    share = centres - left
    rows = np.concatenate([np.arange(count), np.arange(count)])
    columns = np.concatenate([left, right])
    weights = np.concatenate([1 - share, share]).astype(np.float32)
    return sparse.csr_array((weights, (rows, columns)), shape=(count, length))


def _length(extent: float) -> int:
    return max(1, int(np.ceil(extent - 1e-9)))
