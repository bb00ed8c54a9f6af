"""Brings tiles to their exact size. Pure: numpy in, numpy out."""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.slides.area import axis_weights

Pixels = npt.NDArray[np.uint8]


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
        target[:] = _resample(pixels, extent, tile_px)


def _is_multiple(length: float, unit: int) -> bool:
    return length >= unit and length % unit == 0


def _resample(tile: Pixels, extent: tuple[float, float], tile_px: int) -> npt.NDArray[np.float32]:
    """One tile by separable weights, rows first; 0.5 is added so that truncation rounds."""
    across, down = (axis_weights(length, tile_px) for length in extent)
    height, width = down.shape[1], across.shape[1]
    values = tile[:height, :width].astype(np.float32).reshape(height, width * 3)
    rows = (down @ values).reshape(tile_px, width, 3)
    columns = cv2.transpose(rows).reshape(width, tile_px * 3)
    means = (across @ columns).reshape(tile_px, tile_px, 3)
    return np.asarray(cv2.transpose(means) + np.float32(0.5), np.float32)
