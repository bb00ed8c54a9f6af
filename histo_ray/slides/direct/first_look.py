"""Compares a few px of each level with OpenSlide's before a slide of a maker's format is trusted.

Scanners' software differs by version, and no collection of test files has all of it. Where a rule
is missed, the first look sees tiles in other places or other colours, and OpenSlide reads on.
"""

from collections.abc import Iterator

import numpy as np

from histo_ray.errors import SlideError
from histo_ray.slides.base import SlideReader
from histo_ray.slides.direct.region import Corner
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.types import Size

LOOK_PX = 48
"""Edge of a region that is compared."""


def find_difference(reader: SlideReader, known: OpenSlideReader) -> str:
    """Describe the first place where a reader's px are not OpenSlide's; empty if there is none.

    Args:
        reader: The slide by the direct reader.
        known: The same slide by OpenSlide.
    """
    for level, downsample in enumerate(known.downsamples):
        for corner, size in _places(known, level, downsample):
            try:
                same = np.array_equal(
                    reader.read(corner, level, size), known.read(corner, level, size)
                )
            except SlideError as error:  # which OpenSlide remembers; it has to be opened anew
                return f"level {level} cannot be read at {corner} ({error.problem})"
            if not same:
                return f"level {level} looks otherwise than OpenSlide shows it at {corner}"
    return ""


def _places(known: OpenSlideReader, level: int, downsample: float) -> Iterator[tuple[Corner, Size]]:
    """(x, y) in level-0 px and (width, height) of regions where four tiles meet, and of the end."""
    size, tile = known.level_sizes[level], known.tile_sizes[level]
    middle = [
        max(
            0, (whole // 2 - LOOK_PX // 2) if not edge else whole // 2 // edge * edge - LOOK_PX // 2
        )
        for whole, edge in zip(size, tile, strict=True)
    ]
    for x, y in (middle, [max(0, whole - LOOK_PX) for whole in size]):
        yield (int(x * downsample), int(y * downsample)), (LOOK_PX, LOOK_PX)
