"""Brings tiles to their exact size. Pure: numpy in, numpy out."""

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.slides.area import axis_weights

Pixels = npt.NDArray[np.uint8]
STRIP_FLOATS = 2**18
"""Numbers between the two steps that are made at once: a MiB, which most cores' caches hold."""


def resample_tiles(pixels: Pixels, extent: tuple[float, float], tile_px: int) -> Pixels:
    """Resample tiles by exact areas when shrinking, linearly when slightly enlarging.

    Each axis goes by itself. A value half-way between two is rounded up, except that OpenCV,
    which does whole-number ratios, rounds it to the even one where the ratio is not 2.

    Args:
        pixels: (B, h, w, 3) uint8 as read.
        extent: (width, height) that a tile covers, in px of the input from its (0, 0); at most
            (w, h), and in general not whole.
        tile_px: Edge of the output.

    Returns:
        (B, tile_px, tile_px, 3) uint8; the very input values where `extent` is the output's size.
    """
    if needs_no_resampling(extent, tile_px):
        return pixels[:, :tile_px, :tile_px]
    out = np.empty((len(pixels), tile_px, tile_px, 3), np.uint8)
    for tile, target in zip(pixels, out, strict=True):
        resample_tile(tile, extent, target)
    return out


def needs_no_resampling(extent: tuple[float, float], tile_px: int) -> bool:
    """Whether a tile is used as it is read."""
    return extent == (tile_px, tile_px)


def resample_tile(pixels: Pixels, extent: tuple[float, float], target: Pixels) -> None:
    """Resample one tile into memory that is there; see `resample_tiles`.

    Args:
        pixels: (h, w, 3) uint8 as read.
        extent: (width, height) that the tile covers.
        target: (tile_px, tile_px, 3) uint8, contiguous, overwritten.
    """
    width, height = extent
    tile_px = len(target)
    if _is_multiple(width, tile_px) and _is_multiple(height, tile_px):
        source = pixels[: round(height), : round(width)]
        cv2.resize(source, (tile_px, tile_px), dst=target, interpolation=cv2.INTER_AREA)
    else:
        _resample(pixels, extent, target)


def _is_multiple(length: float, unit: int) -> bool:
    return length >= unit and length % unit == 0


def _resample(
    tile: Pixels, extent: tuple[float, float], target: Pixels | npt.NDArray[np.float32]
) -> None:
    """One tile by separable weights, rows first; 0.5 is added so that truncation rounds.

    Rows of the output are made some at a time, so that what lies between the steps stays in the
    processor's cache; each value is the same sum, whatever is made at once.
    """
    tile_px = len(target)
    across = axis_weights(extent[0], tile_px)
    width = across.shape[1]
    for strip in _strips(extent[1], tile_px, max(1, STRIP_FLOATS // (3 * width))):
        values = tile[strip.first : strip.last, :width].astype(np.float32)
        count = strip.bottom - strip.top
        rows = (strip.down @ values.reshape(-1, width * 3)).reshape(count, width, 3)
        columns = cv2.transpose(rows).reshape(width, count * 3)
        means = (across @ columns).reshape(tile_px, count, 3)
        target[strip.top : strip.bottom] = cv2.transpose(means) + np.float32(0.5)


class _Strip(NamedTuple):
    """Some rows of an output, and what they draw on."""

    top: int
    bottom: int
    first: int
    """First input row."""
    last: int
    """One past the last."""
    down: Any
    """(bottom - top, last - first) weights."""


@lru_cache(maxsize=64)
def _strips(extent: float, tile_px: int, count: int) -> list[_Strip]:
    """The rows of an output, at most `count` at a time."""
    weights = axis_weights(extent, tile_px)
    strips = []
    for top in range(0, tile_px, count):
        bottom = min(tile_px, top + count)
        used = weights.indices[weights.indptr[top] : weights.indptr[bottom]]
        first, last = int(used.min()), int(used.max()) + 1
        strips.append(_Strip(top, bottom, first, last, weights[top:bottom, first:last]))
    return strips
