"""Decodes the one image of a plain TIFF: strips, odd tiles, any compression tifffile knows."""

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from histo_ray.slides.image_reader import ImageError, as_rgb, check_pixel_count
from histo_ray.slides.resolution import StatedMpp, mpp_from_tiff
from histo_ray.slides.tiff_damage import DAMAGE

_TRUNCATED = "a truncated TIFF, wanted an intact one; copy the file again"
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
            if not tiff.series:
                raise ImageError(_TRUNCATED)
            page = tiff.series[0].keyframe
            _check_layout(tiff, page)
            return _rgb(page), _stated_mpp(page)
    except DAMAGE as error:
        raise ImageError(
            f"a damaged TIFF ({error}), wanted an intact one; copy the file again"
        ) from error


def _check_layout(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    axes, shape = tiff.series[0].axes, tiff.series[0].shape
    if axes not in _AXES:
        raise ImageError(
            f"a TIFF of axes {axes} and shape {shape}, wanted one RGB image; export it as RGB"
        )
    if page.dtype not in (np.dtype(np.uint8), np.dtype(np.bool_)):
        raise ImageError(
            f"pixels of type {page.dtype}, wanted 8 bits a channel; convert it to 8-bit RGB"
        )
    check_pixel_count(page.imagewidth, page.imagelength)
    ends = (start + n for start, n in zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends, default=0) > tiff.filehandle.size:
        raise ImageError(_TRUNCATED)


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
