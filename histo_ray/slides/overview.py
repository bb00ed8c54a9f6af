"""The whole slide as one small image, area-averaged block by block in bounded memory."""

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from histo_ray.slides.area import axis_weights
from histo_ray.slides.levels import finest_enough, nominal_downsample
from histo_ray.types import Mpp, Pyramid, Size

BLOCK_PX = 1024
"""Edge of the blocks read, in px of the level: about 20 MB of work memory each."""


class Readable(Protocol):
    """What is averaged: a slide open for reading."""

    @property
    def pyramid(self) -> Pyramid:
        """Its levels and their resolution."""

    def read(self, corner: tuple[int, int], level: int, size: Size) -> npt.NDArray[np.uint8]:
        """Read a region; see `OpenedSlide.read`."""


def shrink_slide(slide: Readable, size: Size) -> npt.NDArray[np.uint8]:
    """Average the whole slide down to `size`.

    Reads the coarsest level that is still fine enough, in blocks, so memory does not grow with
    the slide even where there is one level only.

    Args:
        slide: An open slide.
        size: (width, height) of the result, at most the slide's own.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        SlideError: A region cannot be read.
    """
    return shrink_rows(slide, size, 0, size[1])


def shrink_rows(slide: Readable, size: Size, first: int, stop: int) -> npt.NDArray[np.uint8]:
    """Average the whole slide down to `size`, and return some rows: those of `shrink_slide`.

    Args:
        slide: An open slide.
        size: (width, height) of the whole result, at most the slide's own.
        first: First row.
        stop: One past the last.

    Returns:
        (stop - first, width, 3) uint8 RGB.

    Raises:
        SlideError: A region cannot be read.
    """
    pyramid = slide.pyramid
    (full_width, full_height), (width, height) = pyramid.size, size
    coarsest = Mpp(pyramid.mpp.x * full_width / width, pyramid.mpp.y * full_height / height)
    level = finest_enough(pyramid, coarsest)
    level_width, level_height = pyramid.level_sizes[level]
    across = axis_weights(level_width, width)
    down = axis_weights(level_height, height)
    scale_x, scale_y = nominal_downsample(pyramid, level)
    image = np.empty((stop - first, width, 3), np.uint8)
    for top, bottom in _spans(first, stop, height, level_height):
        y0, y1 = _reach(down, top, bottom)
        for left, right in _spans(0, width, width, level_width):
            x0, x1 = _reach(across, left, right)
            corner = (round(x0 * scale_x), round(y0 * scale_y))
            block = slide.read(corner, level, (x1 - x0, y1 - y0)).astype(np.float32)
            rows = down[top:bottom, y0:y1] @ block.reshape(y1 - y0, -1)
            columns = rows.reshape(bottom - top, x1 - x0, 3).transpose(1, 0, 2)
            means = across[left:right, x0:x1] @ columns.reshape(x1 - x0, -1)
            part = means.reshape(right - left, bottom - top, 3).transpose(1, 0, 2)
            image[top - first : bottom - first, left:right] = part + 0.5
    return image


def _spans(first: int, stop: int, count: int, length: int) -> list[tuple[int, int]]:
    """Spans of the outputs from `first` to `stop`, each covering about `BLOCK_PX` input px.

    Args:
        first: First output.
        stop: One past the last.
        count: Outputs along the whole axis.
        length: Inputs along the whole axis.
    """
    step = max(1, math.floor(BLOCK_PX * count / length))
    return [(start, min(stop, start + step)) for start in range(first, stop, step)]


def _reach(weights: Any, start: int, stop: int) -> tuple[int, int]:
    """First and one past the last input px that outputs `start`..`stop` draw on."""
    used = weights.indices[weights.indptr[start] : weights.indptr[stop]]
    return int(used.min()), int(used.max()) + 1
