"""Finds the colour of empty glass on a bright-field image. Pure."""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.tiles.channels import greatest_channel, split_channels

Image = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Od = npt.NDArray[np.float32]

_DARK_LUMINANCE = 30
"""A median below this is a dark ground; the darkest tissue, packed
lymphocytes in a thick section, has 33 where it fills the image."""
_BLACK = 25
"""Pixels whose every channel is below this are not lit at all."""
_LIT_LUMINANCE = 140
"""What is lit of a bright-field image with black borders is mostly this bright."""
_LEAST_LIT = 0.02
_GLASS_LUMINANCE = 180
_GLASS_TINT, _GLASS_YELLOW = 12, 30
"""Greatest max - min of the channels of glass; a yellow tint is common, pink is tissue."""
_LEAST_GLASS = 0.01
_USUAL_GLASS = 245.0
_EXACT_COUNT = 2**24
"""OpenCV returns counts as float32, which holds every whole number up to this."""


def dark_ground(image: Image) -> float | None:
    """The median luminance (0..255) of a dark-field image; None if the image is bright-field.

    Args:
        image: (h, w, 3) uint8 RGB. A black border around a lit part does not make it dark-field.
    """
    luminance = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    median = _median(luminance)
    if median >= _DARK_LUMINANCE:
        return None
    lit = greatest_channel(image) >= _BLACK
    enough = np.count_nonzero(lit) >= _LEAST_LIT * luminance.size
    if enough and _median(luminance, lit) >= _LIT_LUMINANCE:
        return None
    return median


def optical_density(image: Image) -> Od:
    """Optical density -log10(I / I0) of each channel against the image's own glass, at least 0.

    Where hardly any glass is in sight, I0 is a usual white, so tissue is never taken for glass.

    Args:
        image: (h, w, 3) uint8 RGB.

    Returns:
        (h, w, 3) float32.
    """
    glass = _glass_colour(image)
    levels = np.maximum(np.arange(256, dtype=np.float32), 1)
    tables = [np.maximum(-np.log10(levels / level), 0).astype(np.float32) for level in glass]
    return np.asarray(cv2.LUT(image, np.stack(tables, axis=1)[None]), np.float32)


def _glass_colour(image: Image) -> tuple[float, ...]:
    """The commonest colour of bright, almost untinted pixels."""
    image = np.asarray(cv2.blur(image, (3, 3)), np.uint8)  # single noisy px would look untinted
    luminance = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    red, green, blue = split_channels(image)
    low = np.minimum(np.minimum(red, green), blue)
    tint = np.maximum(np.maximum(red, green), blue) - low
    yellow = blue == low
    glassy = (tint <= _GLASS_TINT) | (yellow & (tint <= _GLASS_YELLOW))
    glassy &= luminance >= _GLASS_LUMINANCE
    if glassy.sum() < max(1, _LEAST_GLASS * glassy.size):
        return (_USUAL_GLASS,) * 3
    counts = _histogram(luminance, glassy)
    commonest = int(np.convolve(counts, np.ones(5), "same").argmax())
    near = glassy & np.asarray(cv2.inRange(luminance, commonest - 4, commonest + 4), bool)
    return tuple(_median(channel, near) for channel in (red, green, blue))


def _histogram(values: Plane, mask: Mask | None = None) -> npt.NDArray[np.int64]:
    """How often each value 0..255 occurs, within `mask` if there is one."""
    chosen = None if mask is None else mask.astype(np.uint8)
    counts = np.zeros(256, np.int64)
    step = max(1, _EXACT_COUNT // values.shape[1])
    for top in range(0, len(values), step):
        rows = slice(top, top + step)
        within = None if chosen is None else chosen[rows]
        counts += (
            cv2.calcHist([values[rows]], [0], within, [256], [0, 256]).ravel().astype(np.int64)
        )
    return counts


def _median(values: Plane, mask: Mask | None = None) -> float:
    """The median, as `np.median` computes it."""
    below = np.cumsum(_histogram(values, mask))
    total = int(below[-1])
    middle = ((total - 1) // 2, total // 2)
    lower, upper = np.searchsorted(below, middle, side="right").tolist()
    return float(lower + upper) / 2
