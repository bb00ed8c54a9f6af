"""Tissue masks that are given: images, and GeoJSON as QuPath writes it."""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, TiffImagePlugin

from histo_ray.config import TilingConfig
from histo_ray.errors import SlideError
from histo_ray.storage import locate
from histo_ray.storage.files import read_file
from histo_ray.tiles.polygons import fill_polygons, parse_geojson
from histo_ray.types import Size, TissueMask

IMAGE_SUFFIXES = (".png", ".tif", ".tiff")
GEOJSON_SUFFIXES = (".geojson", ".json")
ASPECT_TOLERANCE = 0.02
PLACEHOLDER = "{slide_id}"
RASTER_PX = 4096
"""Longest side of the raster that polygons are drawn on."""
MOST_BYTES = 2**28
"""Of a mask's file; GeoJSON takes some ten times as much while it is parsed."""
MOST_PX = 2**28
"""Of a mask image, which is decoded whole: 16,384 x 16,384."""

_PLUGINS: dict[bytes, Callable[[io.BytesIO], Image.Image]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"II*\0": TiffImagePlugin.TiffImageFile,
    b"MM\0*": TiffImagePlugin.TiffImageFile,
    b"II+\0": TiffImagePlugin.TiffImageFile,
    b"MM\0+": TiffImagePlugin.TiffImageFile,
}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, KeyError, TypeError, IndexError,
           RuntimeError, UserWarning, struct.error, zlib.error)  # fmt: skip


def read_mask(path: str, slide_size: Size, slide_id: str = "") -> tuple[TissueMask, str]:
    """Read a mask that covers the whole slide.

    Args:
        path: Local path or URI of a PNG or TIFF (non-zero is tissue), or of a GeoJSON file with
            polygons in level-0 px.
        slide_size: (width, height) of level 0.
        slide_id: For messages.

    Returns:
        The mask, and the SHA-256 of the file in hex.

    Raises:
        SlideError: Not there, not readable, or of another shape than the slide.
    """
    try:
        data = read_file(*locate(path), MOST_BYTES)
    except OSError as error:
        raise SlideError(
            slide_id,
            f"mask {path}: cannot be read ({' '.join(str(error).split())}), wanted a mask file; "
            "check the pattern given as --tissue",
        ) from error
    if path.lower().endswith(GEOJSON_SUFFIXES):
        mask = _from_geojson(data, path, slide_size, slide_id)
    else:
        mask = _from_image(data, path, slide_size, slide_id)
    return mask, hashlib.sha256(data).hexdigest()


def _from_geojson(data: bytes, path: str, slide_size: Size, slide_id: str) -> TissueMask:
    width, height = slide_size
    scale = max(1.0, max(slide_size) / RASTER_PX)
    size = max(1, round(width / scale)), max(1, round(height / scale))
    downsample = width / size[0], height / size[1]
    try:
        pixels = fill_polygons(parse_geojson(data), size, downsample)
    except ValueError as error:
        raise SlideError(
            slide_id,
            f"mask {path}: bad GeoJSON ({error}), wanted polygons in level-0 px; export it again",
        ) from error
    return TissueMask(pixels, downsample)


def _from_image(data: bytes, path: str, slide_size: Size, slide_id: str) -> TissueMask:
    size = _measure(data)
    if size is not None and size[0] * size[1] > MOST_PX:
        raise SlideError(
            slide_id,
            f"mask {path}: {size[0]} x {size[1]} px, wanted at most {MOST_PX} px; "
            "export it at a lower resolution",
        )
    values = None if size is None else _decode(data)
    if values is None:
        raise SlideError(
            slide_id, f"mask {path}: not a readable PNG or TIFF, wanted one; export it again"
        )
    height, width = values.shape[:2]
    aspect, wanted = width / height, slide_size[0] / slide_size[1]
    if abs(aspect / wanted - 1) > ASPECT_TOLERANCE:
        raise SlideError(
            slide_id,
            f"mask {path}: {width} x {height} px, wanted the shape of the slide "
            f"({slide_size[0]} x {slide_size[1]} px); export a mask of the whole slide",
        )
    return TissueMask(values != 0, (slide_size[0] / width, slide_size[1] / height))


def _measure(data: bytes) -> Size | None:
    """(width, height) by the header of a PNG or TIFF; None if it is neither."""
    plugin = next((p for magic, p in _PLUGINS.items() if data.startswith(magic)), None)
    if plugin is None:
        return None
    try:
        with plugin(io.BytesIO(data)) as image:
            return image.size
    except _DAMAGE:
        return None


def _decode(data: bytes) -> npt.NDArray[np.generic] | None:
    """(h, w) values, zero where the image is black or transparent; None if it is no image."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # damaged
        return None
    if image is None:
        return None
    if image.ndim == 2:
        return np.asarray(image)
    alpha_channels = 4
    colour = image[..., :3].max(axis=2)
    if image.shape[2] == alpha_channels:
        colour = np.where(image[..., 3] > 0, colour, 0)
    return np.asarray(colour)


def given_mask_path(pattern: str, slide_id: str) -> str:
    """Where a slide's own mask lies, by the pattern given as --tissue."""
    return pattern.replace(PLACEHOLDER, slide_id)


def digest_given_mask(slide_id: str, tiling: TilingConfig) -> str:
    """SHA-256 of the mask file given for a slide; empty where the mask is computed.

    Raises:
        OSError: The file cannot be read.
    """
    if tiling.tissue in ("otsu", "none"):
        return ""
    data = read_file(*locate(given_mask_path(tiling.tissue, slide_id)), MOST_BYTES)
    return hashlib.sha256(data).hexdigest()
