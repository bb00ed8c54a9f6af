"""Where tissue is on a bright-field slide. Pure: numpy in, numpy out.

A pixel's score is the spread of its optical densities over red, green and blue, which a grey
shadow does not have however dark it is, and half of what its density exceeds its surroundings by,
which finds pale pieces of mixed colour and leaves out what changes slowly, as a vignette. Otsu's
threshold splits the scores, held between two bounds: below the lower one is noise, so an empty
slide stays empty; above the upper one is stain, so a slide full of tissue is not split by how
strongly it is stained.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.config import TilingConfig
from histo_ray.errors import SlideError
from histo_ray.tiles.channels import mean_channel, split_channels
from histo_ray.tiles.illumination import Od, dark_ground, optical_density
from histo_ray.tiles.ink import find_ink

Mask = npt.NDArray[np.bool_]

LEAST_THRESHOLD, GREATEST_THRESHOLD = 0.02, 0.04
"""Bounds of the threshold on the score, in optical density."""
_SMOOTHING_UM = 8.0
"""Standard deviation of the blur that takes out the noise of single px."""
_SURROUNDINGS_UM = 1000.0
"""What is as dark over a square of this edge is light, not a pale piece."""
_DENSITY_SHARE = 0.5
_SURROUNDINGS_PX = 25
"""The surroundings are measured on an image reduced to about this many px along that edge."""
_GLASS_DENSITY = 0.02
_HISTOGRAM_TOP = 0.5


class Tissue(NamedTuple):
    """Tissue and ink of an overview; masks are (h, w) bool."""

    pixels: Mask
    """Tissue."""
    ink: Mask
    """Pen marks."""
    reason: str
    """Why there is no tissue; empty if there is some."""
    density: Od
    """(h, w) mean optical density over red, green and blue."""


def find_tissue(
    image: npt.NDArray[np.uint8],
    mpp: float | tuple[float, float],
    tiling: TilingConfig,
    slide_id: str = "",
) -> tuple[Mask, str]:
    """Find tissue on an overview of a slide: `pixels` and `reason` of `examine_overview`."""
    found = examine_overview(image, mpp, tiling, slide_id)
    return found.pixels, found.reason


def examine_overview(
    image: npt.NDArray[np.uint8],
    mpp: float | tuple[float, float],
    tiling: TilingConfig,
    slide_id: str = "",
) -> Tissue:
    """Find tissue and pen marks on an overview of a slide.

    Args:
        image: (h, w, 3) uint8 RGB of the whole slide.
        mpp: Microns per px of `image`, both axes or (x, y).
        tiling: Least area of a piece, greatest of a hole (um2), width of gaps to close (um).
        slide_id: For messages.

    Raises:
        SlideError: The image is dark-field.
    """
    microns = (mpp, mpp) if isinstance(mpp, (int, float)) else (mpp[0], mpp[1])
    image = np.ascontiguousarray(image)
    darkness = dark_ground(image)
    if darkness is not None:
        raise SlideError(
            slide_id,
            f"dark background (median luminance {darkness:.0f} of 255): this looks like "
            "fluorescence, and tissue can be detected on bright-field slides only; use --tissue "
            "none, or give a mask",
        )
    od = optical_density(image)
    ink = find_ink(od, microns)
    ignored = ink.pen | ink.unlit
    score = _score(od, microns, ignored)
    stained = score > _threshold(score[~ignored] if ignored.any() else score)
    stained &= ~ignored
    closed = _close(stained, tiling.close_um, microns)
    filled = _fill_holes(closed, tiling.max_hole_um2, microns) & ~ignored
    pieces, largest_um2 = _drop_small(filled, tiling.min_area_um2, microns)
    reason = ""
    if not pieces.any():
        size = (image.shape[1] * microns[0], image.shape[0] * microns[1])
        reason = _describe_none(size, stained, ink.pen, largest_um2, tiling.min_area_um2)
    return Tissue(pieces, ink.pen, reason, mean_channel(od))


def _describe_none(
    size_um: tuple[float, float], stained: Mask, ink: Mask, largest_um2: float, min_um2: float
) -> str:
    """Why no piece of tissue is left, in words."""
    whole_um2 = size_um[0] * size_um[1]
    if whole_um2 < min_um2:
        return (
            f"the slide measures {size_um[0]:.0f} x {size_um[1]:.0f} um ({whole_um2:.0f} um2), "
            f"less than the smallest piece of tissue that is kept (--min-area-um2 {min_um2:.0f}); "
            "lower --min-area-um2, or take every tile with --tissue none"
        )
    share = f"{100 * float(stained.mean()):.2g} % of the slide is stained"
    inked = f" and {100 * float(ink.mean()):.2g} % is pen ink" if ink.any() else ""
    if largest_um2 == 0:
        return f"no tissue: {share}{inked}"
    return (
        f"no tissue: {share}{inked}; the largest stained piece has {largest_um2:.0f} um2, and "
        f"pieces below {min_um2:.0f} um2 are dropped (--min-area-um2)"
    )


def _score(od: Od, mpp: tuple[float, float], ignored: Mask | None = None) -> Od:
    """How stained each px looks, (h, w), freed of what noise alone gives on glass."""
    red, green, blue = split_channels(od)
    density = _smooth(np.asarray((red + green + blue) / np.float32(3)), mpp)
    greatest = np.maximum(np.maximum(red, green), blue)
    spread = _smooth(greatest - np.minimum(np.minimum(red, green), blue), mpp)
    bare = density < _GLASS_DENSITY
    glass = spread[bare if ignored is None else bare & ~ignored]
    noise = min(float(np.median(glass)), LEAST_THRESHOLD) if glass.size else 0.0
    above = density - _surroundings(density, mpp)
    return np.asarray(spread - noise + _DENSITY_SHARE * above, np.float32)


def _smooth(values: Od, mpp: tuple[float, float]) -> Od:
    sigma_x, sigma_y = (max(0.5, _SMOOTHING_UM / axis) for axis in mpp)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_x, sigmaY=sigma_y), np.float32)


def _surroundings(density: Od, mpp: tuple[float, float]) -> Od:
    """The density without all pieces narrower than `_SURROUNDINGS_UM`: its opening."""
    height, width = density.shape
    grain = _SURROUNDINGS_UM / _SURROUNDINGS_PX
    size = (max(1, round(width * mpp[0] / grain)), max(1, round(height * mpp[1] / grain)))
    coarse = cv2.resize(density, size, interpolation=cv2.INTER_AREA)
    square = np.ones((_SURROUNDINGS_PX, _SURROUNDINGS_PX), np.uint8)
    # Beyond the border the density stays as it is, or a vignette would end in a false piece.
    pad = _SURROUNDINGS_PX
    beyond = np.pad(coarse, pad, mode="edge")
    opened = cv2.morphologyEx(beyond, cv2.MORPH_OPEN, square)
    opened = opened[pad : pad + size[1], pad : pad + size[0]]
    level = cv2.resize(opened, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.minimum(np.asarray(level, np.float32), density)


def _threshold(score: Od) -> float:
    """Otsu's threshold within the bounds."""
    levels = np.clip(score * (255 / _HISTOGRAM_TOP), 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(np.clip(otsu * _HISTOGRAM_TOP / 255, LEAST_THRESHOLD, GREATEST_THRESHOLD))


def _close(mask: Mask, width_um: float, mpp: tuple[float, float]) -> Mask:
    """Close gaps up to `width_um`; the image's border is no gap."""
    reach_x, reach_y = (round(width_um / axis / 2) for axis in mpp)
    if reach_x == 0 and reach_y == 0:
        return mask
    size = (2 * reach_x + 1, 2 * reach_y + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size)
    room = cv2.copyMakeBorder(
        mask.astype(np.uint8), reach_y, reach_y, reach_x, reach_x, cv2.BORDER_REPLICATE
    )
    closed = cv2.morphologyEx(room, cv2.MORPH_CLOSE, disc)
    height, width = mask.shape
    return np.asarray(closed[reach_y : reach_y + height, reach_x : reach_x + width], bool)


def _fill_holes(mask: Mask, max_um2: float, mpp: tuple[float, float]) -> Mask:
    """Fill holes up to `max_um2`; what touches the border is not enclosed."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (~mask).astype(np.uint8), connectivity=4
    )
    height, width = mask.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    enclosed = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    area_um2 = stats[:, cv2.CC_STAT_AREA] * (mpp[0] * mpp[1])
    hole = enclosed & (area_um2 <= max_um2) & (np.arange(count) > 0)
    return np.asarray(mask | hole[labels], bool)


def _drop_small(mask: Mask, min_um2: float, mpp: tuple[float, float]) -> tuple[Mask, float]:
    """Drop pieces below `min_um2`; also the area of the largest piece found."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    area_um2 = stats[:, cv2.CC_STAT_AREA] * (mpp[0] * mpp[1])
    keep = (area_um2 >= min_um2) & (np.arange(count) > 0)
    largest = float(area_um2[1:].max()) if count > 1 else 0.0
    return np.asarray(keep[labels], bool), largest
