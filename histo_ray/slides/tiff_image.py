"""Decodes the one image of a plain TIFF: strips, odd tiles, any compression tifffile knows."""

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from histo_ray.slides.direct.jpeg import UnusualJpegError, frame_size
from histo_ray.slides.image_reader import ImageError, as_rgb, check_pixel_count
from histo_ray.slides.resolution import StatedMpp, mpp_from_tiff
from histo_ray.slides.tiff_damage import DAMAGE

_TRUNCATED = "a truncated TIFF, wanted an intact one; copy the file again"
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
_MOST_CHANNELS = 4
_MOST_PAGES = 64
"""Of which a second one of the first's size is looked for."""
_UNITS = {2: "inch", 3: "centimeter"}
_AXES = ("YX", "YXS", "SYX")


def read_tiff(path: str) -> tuple[npt.NDArray[np.uint8], StatedMpp]:
    """Decode the first image.

    Args:
        path: Local file.

    Returns:
        (h, w, 3) uint8 RGB, and the mpp that its resolution tags state.

    Raises:
        ImageError: Damaged, too big, or not one 8-bit image.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            if not len(tiff.pages):
                raise ImageError(_TRUNCATED)
            page = tiff.pages.first
            _check_layout(tiff, page)
            _check_frames(tiff, page)
            return _rgb(page), _stated_mpp(page)
    except (*DAMAGE, MemoryError) as error:  # of sizes that are made up
        raise ImageError(
            f"a damaged TIFF ({error}), wanted an intact one; copy the file again"
        ) from error


def _check_layout(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    # Pages alone are looked at: what a TIFF says of series in its texts may be made up.
    pages = [other.shape for other in tiff.pages[:_MOST_PAGES]]
    if page.axes not in _AXES or pages.count(page.shape) > 1:
        raise ImageError(
            f"a TIFF of {len(tiff.pages)} images, the first of axes {page.axes} and shape "
            f"{page.shape}, wanted one RGB image; export it as RGB"
        )
    if page.samplesperpixel > _MOST_CHANNELS:
        raise ImageError(
            f"a TIFF of {page.samplesperpixel} channels, wanted RGB; convert it to RGB"
        )
    if page.compression not in _CODECS:
        raise ImageError(
            f"a TIFF compressed by {page.compression!r}, wanted one of "
            f"{', '.join(codec.name for codec in _CODECS)}; save it with one of these"
        )
    if page.dtype not in (np.dtype(np.uint8), np.dtype(np.bool_)):
        raise ImageError(
            f"pixels of type {page.dtype}, wanted 8 bits a channel; convert it to 8-bit RGB"
        )
    check_pixel_count(page.imagewidth, page.imagelength)
    if page.is_tiled:  # the last ones may reach far beyond the image
        check_pixel_count(page.tilewidth, page.tilelength)
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
            raise ImageError(
                f"a damaged TIFF ({error}), wanted an intact one; copy the file again"
            ) from error
        if width * height > room:
            raise ImageError(
                f"a JPEG of {width} x {height} px in a TIFF with room for {room} px, wanted them "
                "alike; save it again"
            )


def _rgb(page: tifffile.TiffPage) -> npt.NDArray[np.uint8]:
    values = page.asarray()
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    photometric = tifffile.PHOTOMETRIC
    if page.photometric == photometric.MINISWHITE:
        values = 255 - values
    if page.photometric == photometric.PALETTE and page.colormap is not None:
        colours = (page.colormap // 256).astype(np.uint8).T  # the table has 16 bits a colour
        return np.ascontiguousarray(colours[values])
    channels = values.shape[2] if values.ndim == 3 else 1
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(channels)
    if page.photometric == photometric.SEPARATED:
        mode = "CMYK" if channels == 4 else None
    elif page.photometric == photometric.CIELAB:
        mode = None
    if mode is None:
        raise ImageError(
            f"a TIFF of {channels} channels ({page.photometric!r}), wanted RGB; convert it to RGB"
        )
    contiguous = np.ascontiguousarray(values.reshape(*values.shape[:2], channels))
    if mode == "RGB":
        return contiguous
    size = (contiguous.shape[1], contiguous.shape[0])
    return as_rgb(Image.frombytes(mode, size, contiguous.tobytes()))


def _stated_mpp(page: tifffile.TiffPage) -> StatedMpp:
    def per_unit(name: str) -> float | None:
        value = page.tags.valueof(name)
        if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
            return None
        return float(value[0]) / float(value[1])

    unit = _UNITS.get(int(page.tags.valueof("ResolutionUnit", 2)), "")
    return mpp_from_tiff(per_unit("XResolution"), per_unit("YResolution"), unit)
