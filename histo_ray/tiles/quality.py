"""How sharp tiles are. Pure."""

import cv2
import numpy as np
import numpy.typing as npt


def measure_focus(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Variance of the Laplacian of luminance (Pech-Pacheco et al. 2000); low is blurred.

    Args:
        pixels: (B, h, w, 3) uint8 RGB.

    Returns:
        (B,) float32, squared grey levels (0..255); 0 for tiles of one colour.
    """
    focus = np.empty(len(pixels), np.float32)
    for index, tile in enumerate(pixels):
        grey = cv2.cvtColor(np.ascontiguousarray(tile), cv2.COLOR_RGB2GRAY)
        laplacian = cv2.Laplacian(grey, cv2.CV_16S)  # at most 4 x 255: exact
        _, deviation = cv2.meanStdDev(laplacian)
        focus[index] = deviation[0, 0] ** 2
    return focus
