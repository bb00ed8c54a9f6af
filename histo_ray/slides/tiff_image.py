"""Decodes the one image of a plain TIFF: strips, odd tiles, any compression tifffile knows."""

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from histo_ray.slides.direct.jpeg import UnusualJpegError, frame_size
from histo_ray.slides.flatten import WHITE, flatten_alpha
from histo_ray.slides.plain_image import ImageError, NoMemoryError, as_rgb, check_pixel_count
from histo_ray.slides.resolution import StatedMpp, mpp_from_tiff
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.slides.tiff_meaning import Colours, check_images, read_colours
from histo_ray.slides.tiff_resolution import per_unit, read_stated_mpp

_TRUNCATED = "the TIFF is cut short; copy the file again"
_CODECS = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.LZW,
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.PACKBITS,
    tifffile.COMPRESSION.LZMA,
    tifffile.COMPRESSION.ZSTD,
)
"""Whose output is bounded before they run: by tifffile, or, of JPEG, by `_check_frames`."""
_UNITS = {2: "inch", 3: "centimeter"}
_SCREEN_TABLE = 256
"""Colours of a palette have 16 bits; a table of smaller values only was written with 8."""


def read_tiff(path: str) -> tuple[npt.NDArray[np.uint8], tuple[StatedMpp, ...]]:
    """Decode the first image.

    Args:
        path: Local file.

    Returns:
        (h, w, 3) uint8 RGB, and the mpp that its texts and resolution tags state, best first.

    Raises:
        ImageError: Damaged, too big, or compressed by what is not decoded.
        MeaningError: What its pixels mean is not known.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            if not len(tiff.pages):
                raise ImageError(_TRUNCATED)
            page = check_images(tiff)
            colours = read_colours(page)
            _check_layout(tiff, page)
            _check_frames(tiff, page)
            stated = (*read_stated_mpp(tiff, page), _mpp_of_tags(page))
            samples = read_samples(page)
            try:
                return _rgb(samples, page, colours), stated
            except MemoryError as error:
                raise NoMemoryError(page.imagewidth, page.imagelength) from error
    except (*DAMAGE, MemoryError) as error:  # of sizes that are made up
        raise ImageError(f"a damaged TIFF ({error}); copy the file again") from error


def read_samples(page: tifffile.TiffPage) -> npt.NDArray[np.generic]:
    """Decode an image whose size was checked, its samples last: (h, w) or (h, w, samples).

    Raises:
        ImageError: Memory has no room for it.
    """
    try:
        values = page.asarray()
    except MemoryError as error:
        raise NoMemoryError(page.imagewidth, page.imagelength) from error
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    return np.asarray(values)


def _check_layout(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    check_codec(page)
    check_pixel_count(page.imagewidth, page.imagelength)
    if page.is_tiled:  # the last ones may reach far beyond the image
        check_pixel_count(page.tilewidth, page.tilelength)
    check_ends(tiff, page)


def check_codec(page: tifffile.TiffPage) -> None:
    """Refuse a compression whose decoder's output is not bounded.

    Raises:
        ImageError: It is not one of those that are.
    """
    if page.compression not in _CODECS:
        name = getattr(page.compression, "name", page.compression)
        raise ImageError(
            f"the TIFF is compressed by {name}, which is not read; save it with JPEG, LZW or "
            "deflate, for example with `vips tiffsave` or Bio-Formats' bfconvert"
        )


def check_ends(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    """Refuse an image that reaches beyond the end of its file.

    Raises:
        ImageError: It does.
    """
    ends = (start + n for start, n in zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends, default=0) > tiff.filehandle.size:
        raise ImageError(_TRUNCATED)


def _check_frames(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    """Hold the size that each JPEG of the image states against the TIFF's, before it is decoded."""
    if page.compression != tifffile.COMPRESSION.JPEG:
        return
    room = page.chunks[-3] * page.chunks[-2] if page.axes == "YXS" else 0
    room = room or page.chunks[-2] * page.chunks[-1]
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(start)
        try:
            width, height = frame_size(tiff.filehandle.read(count))
        except UnusualJpegError as error:
            raise ImageError(f"a damaged TIFF ({error}); copy the file again") from error
        if width * height > room:
            raise ImageError(
                f"the TIFF holds a JPEG of {width} x {height} px where it has room for {room} px; "
                "save it again"
            )


def _rgb(
    values: npt.NDArray[np.generic], page: tifffile.TiffPage, colours: Colours
) -> npt.NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB of an image's samples, over white."""
    if colours.kind == "palette":
        return _look_up(values, page)
    samples = np.asarray(values, np.uint8)
    if colours.bits == 1:
        samples = samples * np.uint8(255)
    samples = samples.reshape(*samples.shape[:2], -1)
    if colours.kind == "cmyk":
        size = (samples.shape[1], samples.shape[0])
        return as_rgb(Image.frombytes("CMYK", size, np.ascontiguousarray(samples).tobytes()))
    plain = samples[..., : 3 if colours.kind == "rgb" else 1]
    if colours.kind == "inverted grey":
        plain = 255 - plain
    rgb = np.ascontiguousarray(np.broadcast_to(plain, (*plain.shape[:2], 3)))
    if colours.alpha == "none":
        return rgb
    alpha = samples[..., -1:]
    if colours.alpha == "premultiplied":
        return np.asarray(np.minimum(rgb.astype(np.uint16) + (255 - alpha), 255), np.uint8)
    return flatten_alpha(np.ascontiguousarray(np.concatenate([rgb, alpha], axis=2)), WHITE)


def _look_up(values: npt.NDArray[np.generic], page: tifffile.TiffPage) -> npt.NDArray[np.uint8]:
    table = np.asarray(page.colormap)
    if table.max(initial=0) >= _SCREEN_TABLE:
        table = table // 256
    indices = np.asarray(values, np.uint8)
    if indices.max(initial=0) >= table.shape[1]:
        raise ImageError(
            f"a palette of {table.shape[1]} colours, and a pixel that names number "
            f"{int(indices.max())}; save it again as 8-bit RGB"
        )
    return np.ascontiguousarray(table.astype(np.uint8).T[indices])


def _mpp_of_tags(page: tifffile.TiffPage) -> StatedMpp:
    unit = _UNITS.get(int(page.tags.valueof("ResolutionUnit", 2)), "")
    return mpp_from_tiff(per_unit(page, "XResolution"), per_unit(page, "YResolution"), unit)
