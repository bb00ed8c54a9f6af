"""Source tiles that a plan decodes, counted in squares of one size. Pure."""

import math

import numpy as np
import numpy.typing as npt

from histo_ray.extract.slide import SubjectPlan

SOURCE_PX = 256
"""Edge of a source tile, in px of its level: what most scanners write; a plan asks no file."""

Cells = npt.NDArray[np.bool_]


def touched_cells(plan: SubjectPlan) -> Cells:
    """Squares of the level read that any tile of a plan lies on.

    Returns:
        (rows, columns) of the level, `SOURCE_PX` px each.

    Raises:
        ValueError: The plan is of a tile set, which has no levels.
    """
    if plan.level_read is None:
        raise ValueError(f"{plan.grid.slide_id}: its tiles are files of their own")
    scale = plan.level_read.downsample
    columns, rows = (
        math.ceil(edge / factor / SOURCE_PX) + 1
        for edge, factor in zip(plan.slide.size_px, scale, strict=True)
    )
    first = (plan.grid.coords / np.asarray(scale)).astype(np.int64)
    last = (first + np.asarray(plan.level_read.read_size) - 1) // SOURCE_PX
    (left, top), (right, bottom) = (first // SOURCE_PX).T, last.T
    right, bottom = np.minimum(right, columns - 1), np.minimum(bottom, rows - 1)
    edges = np.zeros((rows + 1, columns + 1), np.int64)  # summed up, it counts the tiles on each
    for y, x, sign in (
        (top, left, 1),
        (bottom + 1, right + 1, 1),
        (top, right + 1, -1),
        (bottom + 1, left, -1),
    ):
        np.add.at(edges, (y, x), sign)
    covered: Cells = edges.cumsum(0).cumsum(1)[:rows, :columns] > 0
    return covered


class SourceTally:
    """Source tiles of some plans: decoded by each tiling for itself, and once for all."""

    def __init__(self) -> None:
        self.apart = 0
        """If each tiling were read for itself."""
        self.shared = 0
        """If all are read in one pass."""
        self._seen: dict[tuple[str, int], npt.NDArray[np.uint8]] = {}

    @property
    def saved(self) -> int | None:
        """Those that one pass need not decode again; None where nothing was added."""
        return self.apart - self.shared if self.shared else None

    def add(self, plan: SubjectPlan) -> None:
        """Add a slide in one of its tilings."""
        cells = np.packbits(touched_cells(plan))
        key = plan.slide.slide_id, plan.tiling.level
        before = self._seen.get(key, np.zeros_like(cells))
        self._seen[key] = cells | before
        self.apart += _count(cells)
        self.shared += _count(self._seen[key]) - _count(before)


def _count(packed: npt.NDArray[np.uint8]) -> int:
    return int(np.bitwise_count(packed).sum())
