"""Limits of plain images, which are decoded whole, and their pixels as 8-bit RGB."""

import numpy as np
from PIL import Image

from histo_ray.slides.base import Pixels
from histo_ray.slides.flatten import WHITE, flatten_alpha

MAX_PIXELS = 2**28
"""Plain images are decoded whole, so bigger ones are refused before decoding (805 MB of RGB)."""
_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


class ImageError(Exception):
    """Why a plain image cannot be used: what is wrong with it, and what to do."""


class NoMemoryError(ImageError):
    """Memory has no room for an image of an allowed size."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(
            f"memory has no room to decode {width} x {height} px "
            f"({3 * width * height / 1e6:.0f} MB of RGB) as a whole; convert it to a tiled "
            "pyramid, for example with `vips tiffsave --tile --pyramid --compression jpeg`, or "
            "give the process more memory, as with fewer --readers"
        )


def check_pixel_count(width: int, height: int) -> None:
    """Refuse an image that would be too big to decode whole.

    Raises:
        ImageError: More than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"a plain image of {width} x {height} px is decoded whole, and more than {MAX_PIXELS} "
            "px are too many for that; convert it to a tiled pyramid of 8-bit RGB, for example "
            "with `vips tiffsave --tile --pyramid --compression jpeg`"
        )


def as_rgb(image: Image.Image) -> Pixels:
    """8-bit RGB of a Pillow image of any 8-bit mode; transparency becomes white.

    Raises:
        ImageError: More than 8 bits a channel, or an unusual colour space.
    """
    if image.mode not in _EIGHT_BIT:
        raise ImageError(
            f"its pixels are of mode {image.mode}, which is not 8 bits a channel; convert it to "
            "8-bit RGB"
        )
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        return flatten_alpha(np.asarray(image.convert("RGBA")), WHITE)
    return np.asarray(image.convert("RGB"))
