"""Lays transparent pixels onto a background colour. Pure."""

import cv2
import numpy as np
import numpy.typing as npt

Rgb = tuple[int, int, int]
WHITE: Rgb = (255, 255, 255)


def flatten_alpha(rgba: npt.NDArray[np.uint8], background: Rgb) -> npt.NDArray[np.uint8]:
    """Composite straight (not premultiplied) alpha onto `background`.

    Args:
        rgba: (h, w, 4) uint8, C-contiguous.
        background: Colour that shows through.

    Returns:
        (h, w, 3) uint8.
    """
    rgb = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    words = rgba.view("<u4")  # alpha is the highest byte: one pass tells whether all are opaque
    if np.bitwise_and.reduce(words, axis=None) >> 24 == 255:
        return rgb
    alpha = rgba[..., 3:].astype(np.uint16)
    under = np.array(background, np.uint16)
    mixed = (rgb * alpha + under * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)
