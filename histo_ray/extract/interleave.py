"""Order in which the tiles of several tilings of one slide are read. Pure."""

import heapq
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt


def interleave_spans(
    coords: Sequence[npt.NDArray[np.int32]], sizes: Sequence[int]
) -> Iterator[tuple[int, range]]:
    """Walk down a slide with all tilings side by side, so that they share what is decoded.

    Args:
        coords: (N, 2) of each tiling, (x, y) in level-0 px, row-major.
        sizes: Most tiles of a span, of each tiling.

    Yields:
        Index of a tiling and its next tile_ids, the topmost first; each tiling's in order.
    """
    heap = [(int(own[0, 1]), at, 0) for at, own in enumerate(coords) if len(own)]
    heapq.heapify(heap)
    while heap:
        _, at, start = heapq.heappop(heap)
        stop = min(start + sizes[at], len(coords[at]))
        if stop < len(coords[at]):
            heapq.heappush(heap, (int(coords[at][stop, 1]), at, stop))
        yield at, range(start, stop)
