"""Leaves out levels of a slide that are not sound."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.slides.base import SlideReader
from histo_ray.slides.sound_levels import choose_levels
from histo_ray.types import Size


def keep_sound_levels(
    back_end: SlideReader, unsound: Sequence[str] = (), beside: Sequence[str] = ()
) -> SlideReader:
    """The same slide without the levels that are no reduced images of it.

    Args:
        back_end: An open slide.
        unsound: What is known to be wrong with each of its levels; empty strings for nothing.
        beside: Sentences on levels that the back end does not offer at all.
    """
    kept, left_out = choose_levels(back_end.level_sizes, unsound)
    if not left_out and not beside:
        return back_end
    return ChosenLevels(back_end, kept, (*left_out, *beside))


class ChosenLevels:
    """A slide reader that offers some levels of another one, numbered from 0."""

    def __init__(
        self, back_end: SlideReader, kept: Sequence[int], left_out: tuple[str, ...]
    ) -> None:
        """Offer the levels `kept`; `left_out` describes the others."""
        self._back_end = back_end
        self._kept = tuple(kept)
        self.name = back_end.name
        self.vendor = back_end.vendor
        self.background = back_end.background
        self.stated_mpp = back_end.stated_mpp
        self.level_sizes: tuple[Size, ...] = tuple(back_end.level_sizes[at] for at in kept)
        self.levels_left_out = left_out

    def read(self, corner: tuple[int, int], level: int, size: Size) -> npt.NDArray[np.uint8]:
        """Read a region; `corner` in level-0 px, `size` (width, height) in px of `level`."""
        return self._back_end.read(corner, self._kept[level], size)

    def read_into(self, region: npt.NDArray[np.uint8], corner: tuple[int, int], level: int) -> None:
        """Read the region at `corner` (level-0 px) that fills `region`, (h, w, 3) px of `level`."""
        self._back_end.read_into(region, corner, self._kept[level])

    def close(self) -> None:
        """Release the file."""
        self._back_end.close()
