"""What every slide reader offers. `docs/extend/slide-reader.md` shows how to add one."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from histo_ray.slides.resolution import StatedMpp
from histo_ray.types import Size

Pixels = npt.NDArray[np.uint8]


class SlideReader(Protocol):
    """One open slide. `read` and `read_into` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The reader's name in the registry."""

    @property
    def vendor(self) -> str:
        """Maker of the format, or the kind of plain image."""

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        """(width, height) of each level in px of that level, level 0 first."""

    @property
    def background(self) -> tuple[int, int, int]:
        """RGB of regions that were not scanned, and of what lies beyond the slide."""

    @property
    def stated_mpp(self) -> tuple[StatedMpp, ...]:
        """Resolutions that the file states, the most trustworthy first; may be empty."""

    @property
    def levels_left_out(self) -> tuple[str, ...]:
        """A sentence on each level of the file that is not among `level_sizes`."""

    def read(self, corner: tuple[int, int], level: int, size: Size) -> Pixels:
        """Read a region.

        Args:
            corner: (x, y) of its top-left corner in level-0 px; may lie outside the slide.
            level: Index into `level_sizes`.
            size: (width, height) in px of that level.

        Returns:
            (height, width, 3) uint8 RGB; `background` beyond the slide.

        Raises:
            SlideError: The file is damaged there.
        """

    def read_into(self, region: Pixels, corner: tuple[int, int], level: int) -> None:
        """Overwrite `region`, (height, width, 3) uint8, with what `read` would return."""

    def close(self) -> None:
        """Release the file."""


class UnservedError(Exception):
    """A reader does not serve a file; with `auto` the next reader is asked.

    The only argument is the problem of the `SlideError` to be raised if the reader was named.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def copy_region(
    level: Pixels, region: Pixels, corner: tuple[int, int], background: tuple[int, int, int]
) -> None:
    """Fill a region from the pixels of a whole level.

    Args:
        level: (height, width, 3) uint8 RGB.
        region: (height, width, 3) uint8, overwritten.
        corner: (x, y) of the region in px of the level; may lie outside.
        background: RGB of what lies beyond the level.
    """
    (x, y), (height, width) = corner, region.shape[:2]
    region[:] = background
    found = level[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    top, left = max(-y, 0), max(-x, 0)
    region[top : top + found.shape[0], left : left + found.shape[1]] = found
