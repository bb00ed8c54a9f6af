"""Pen marks on the glass. Pure.

Told by the balance of optical densities. Measured on real tissue, red against green is at most
0.92 in H&E and 1.27 in 99 of 100 px of a blue immunostain's counterstain; blue, green and navy
ink lie above. Red ink absorbs green and blue alike and next to no red, which blood does not. A
trichrome's blue or green collagen would look like ink: give a mask for such slides.
"""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.tiles.channels import greatest_channel, least_channel

Mask = npt.NDArray[np.bool_]
Od = npt.NDArray[np.float32]

LEAST_INK_UM2 = 40_000.0
"""A stroke is at least this large; pigment and dust are smaller."""
_RIM_UM = 56.0
"""Ink fades out over this much."""


def find_ink(od: Od, mpp: tuple[float, float]) -> Mask:
    """Where the pen went, with the faded rim of its strokes.

    Args:
        od: (h, w, 3) optical densities of red, green and blue.
        mpp: (x, y) microns per px.

    Returns:
        (h, w) bool.
    """
    red, green, blue = (np.ascontiguousarray(od[..., channel]) for channel in range(3))
    low = least_channel(od)
    chroma = greatest_channel(od) - low
    found = np.zeros(red.shape, bool)
    blue_ink = (red > 0.4) & (red > 1.27 * green)
    navy_ink = (red > 0.75) & (red > 1.05 * green) & (blue < 0.6 * red)
    cool = (red > 1.15 * green + 0.02) & (red > 0.06)
    found |= _grow(blue_ink | navy_ink, cool, mpp)
    warm = (red < 0.2 * green) & (blue > 0.6 * green)
    red_ink = (red < 0.15 * green) & (blue > 0.6 * green) & (green > 0.75)
    found |= _grow(red_ink, warm & (green > 0.1), mpp)
    black = (low > 0.5) & (chroma < 0.18)
    grey = (low > 0.1) & (chroma < 0.1)
    found |= _grow(black, grey | black, mpp)
    if not found.any():
        return found
    width, height = (2 * round(_RIM_UM / axis) + 1 for axis in mpp)
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))
    return np.asarray(cv2.dilate(found.astype(np.uint8), rim), bool)


def _grow(core: Mask, faint: Mask, mpp: tuple[float, float]) -> Mask:
    """The pieces of `faint` that hold at least a stroke's area of `core`."""
    least = max(1.0, LEAST_INK_UM2 / (mpp[0] * mpp[1]))
    if core.sum() < least:
        return np.zeros(core.shape, bool)
    _, labels = cv2.connectedComponents((core | faint).astype(np.uint8), connectivity=8)
    strokes = np.bincount(labels[core], minlength=int(labels.max()) + 1) >= least
    strokes[0] = False
    return np.asarray(strokes[labels], bool)
