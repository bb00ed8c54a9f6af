"""Reads plain images: PNG, JPEG and TIFFs that OpenSlide does not take."""

import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import JpegImagePlugin, PngImagePlugin

from histo_ray.errors import SlideError
from histo_ray.slides.base import Pixels, copy_region
from histo_ray.slides.flatten import WHITE
from histo_ray.slides.plain_image import ImageError, NoMemoryError, as_rgb, check_pixel_count
from histo_ray.slides.resolution import StatedMpp
from histo_ray.slides.slide_file import SlideFile
from histo_ray.slides.tiff_image import read_tiff
from histo_ray.slides.tiff_meaning import MeaningError, check_orientation
from histo_ray.types import Size

Format = Literal["png", "jpeg", "tiff"]

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


def detect_image(path: str) -> Format | None:
    """Which kind of plain image a local file is, by its first bytes; None if none."""
    with Path(path).open("rb") as file:
        head = file.read(8)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def detect(file: SlideFile) -> bool:
    """Whether the file is a PNG, JPEG or TIFF."""
    return not file.foreign and detect_image(file.local) is not None


def open_reader(file: SlideFile) -> "ImageReader":
    """Decode an image.

    Raises:
        SlideError: Damaged, too big to decode whole, or not an image that is read.
    """
    file.refuse_foreign()
    return ImageReader(file.local, file.slide_id)


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
        copy_region(self._pixels, region, corner, WHITE)

    def close(self) -> None:
        """Release the pixels."""
        self._pixels = np.empty((0, 0, 3), np.uint8)


def _decode(path: str, kind: Format) -> Pixels:
    # The plugin, not Image.open: its limit on the size is global and too low.
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
    """Refuse 16 bits a channel: Pillow would silently keep the upper 8."""
    with Path(path).open("rb") as file:
        head = file.read(_PNG_DEPTH_AT + 1)
    if len(head) > _PNG_DEPTH_AT and head[_PNG_DEPTH_AT] > 8:
        raise ImageError(
            f"it has {head[_PNG_DEPTH_AT]} bits a channel, not 8; convert it to 8-bit RGB"
        )
