"""Back end for plain images: PNG, JPEG and TIFFs that OpenSlide does not take."""

import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, PngImagePlugin

from histo_ray.errors import SlideError
from histo_ray.slides.flatten import WHITE, flatten_alpha
from histo_ray.slides.resolution import StatedMpp
from histo_ray.slides.tiff_meaning import MeaningError, check_orientation
from histo_ray.types import Size

MAX_PIXELS = 2**28
"""Plain images are decoded whole, so bigger ones are refused before decoding (805 MB of RGB)."""

Format = Literal["png", "jpeg", "tiff"]
Pixels = npt.NDArray[np.uint8]

_MAGIC: dict[bytes, Format] = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, zlib.error)
_EXIF_ORIENTATION = 274
_PNG_DEPTH_AT = 24
"""Byte of a PNG that holds its bits a channel: IHDR is always the first chunk."""
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


def detect_image(path: str) -> Format | None:
    """Which kind of plain image a local file is, by its first bytes; None if none."""
    with Path(path).open("rb") as file:
        head = file.read(8)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


class ImageReader:
    """One plain image, decoded whole; it has one level, and only a TIFF states its mpp.

    An image that says it is stored turned or mirrored is refused: see `check_orientation`.
    """

    name = "image"
    levels_left_out: tuple[str, ...] = ()
    background = WHITE

    def __init__(self, path: str, slide_id: str) -> None:
        kind = detect_image(path)
        self.stated_mpp: tuple[StatedMpp, ...] = ()
        try:
            if kind is None:
                raise ImageError("it is not a PNG, JPEG or TIFF; leave the reader at auto")
            if kind == "tiff":
                from histo_ray.slides.tiff_image import read_tiff

                self._pixels, self.stated_mpp = read_tiff(path)
            else:
                self._pixels = _decode(path, kind)
        except (ImageError, MeaningError) as error:
            raise SlideError(slide_id, f"{path}: {error}") from error
        self.vendor: str = kind
        height, width = self._pixels.shape[:2]
        self.level_sizes: tuple[Size, ...] = ((width, height),)

    def read(self, corner: tuple[int, int], level: int, size: Size) -> Pixels:
        """Read a region; what lies beyond the image is white."""
        region = np.empty((size[1], size[0], 3), np.uint8)
        self.read_into(region, corner, level)
        return region

    def read_into(self, region: Pixels, corner: tuple[int, int], level: int) -> None:
        """Read the region at `corner` that fills `region`."""
        del level  # there is one only
        (x, y), (height, width) = corner, region.shape[:2]
        region[:] = WHITE
        found = self._pixels[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        top, left = max(-y, 0), max(-x, 0)
        region[top : top + found.shape[0], left : left + found.shape[1]] = found

    def close(self) -> None:
        """Let the pixels go."""
        self._pixels = np.empty((0, 0, 3), np.uint8)


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


def _decode(path: str, kind: Format) -> Pixels:
    # The plugin, not Image.open: that would judge size by a limit that is global and too low.
    plugin = PngImagePlugin.PngImageFile if kind == "png" else JpegImagePlugin.JpegImageFile
    size: Size | None = None
    try:
        with plugin(path) as image:
            check_pixel_count(*image.size)
            size = image.size
            check_orientation(image.getexif().get(_EXIF_ORIENTATION, 1))
            if kind == "png":
                _check_png_depth(path)
            return as_rgb(image)
    except _DAMAGE as error:
        if isinstance(error, MemoryError) and size is not None:
            raise NoMemoryError(*size) from error
        raise ImageError(f"a damaged {kind.upper()} ({error}); copy the file again") from error


def _check_png_depth(path: str) -> None:
    """Refuse 16 bits a channel, of which Pillow keeps the upper half without a word."""
    with Path(path).open("rb") as file:
        head = file.read(_PNG_DEPTH_AT + 1)
    if len(head) > _PNG_DEPTH_AT and head[_PNG_DEPTH_AT] > 8:
        raise ImageError(
            f"it has {head[_PNG_DEPTH_AT]} bits a channel, not 8; convert it to 8-bit RGB"
        )
