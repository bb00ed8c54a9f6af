"""The empty glass of a bright-field image: is there any, and what colour is it. Pure."""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.tiles.channels import greatest_channel, least_channel

Image = npt.NDArray[np.uint8]
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


def dark_ground(image: Image) -> float | None:
    """The median luminance (0..255) of a dark-field image; None if the image is bright-field.

    Args:
        image: (h, w, 3) uint8 RGB. A black border around a lit part does not make it dark-field.
    """
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    median = float(np.median(luminance))
    if median >= _DARK_LUMINANCE:
        return None
    lit = luminance[greatest_channel(image) >= _BLACK]
    if lit.size >= _LEAST_LIT * luminance.size and np.median(lit) >= _LIT_LUMINANCE:
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
    od = np.empty(image.shape, np.float32)
    for channel in range(3):
        table = np.maximum(-np.log10(levels / glass[channel]), 0).astype(np.float32)
        od[..., channel] = table[image[..., channel]]
    return od


def _glass_colour(image: Image) -> tuple[float, ...]:
    """The commonest colour of bright, almost untinted pixels."""
    image = np.asarray(cv2.blur(image, (3, 3)), np.uint8)  # single noisy px would look untinted
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    low = least_channel(image)
    tint = greatest_channel(image) - low
    yellow = image[..., 2] == low
    glassy = (tint <= _GLASS_TINT) | (yellow & (tint <= _GLASS_YELLOW))
    glassy &= luminance >= _GLASS_LUMINANCE
    if glassy.sum() < max(1, _LEAST_GLASS * glassy.size):
        return (_USUAL_GLASS,) * 3
    counts = np.bincount(luminance[glassy], minlength=256)
    commonest = int(np.convolve(counts, np.ones(5), "same").argmax())
    near = glassy & (np.abs(luminance.astype(np.int16) - commonest) <= 4)
    return tuple(np.median(image[near], axis=0).tolist())
