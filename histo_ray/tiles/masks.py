"""Tissue masks that are given: images, and GeoJSON as QuPath writes it."""

import hashlib
from collections.abc import Sequence

from histo_ray.config import GIVEN_SLIDE, TilingConfig, tissue_kind
from histo_ray.errors import SlideError
from histo_ray.slides.sound_levels import sizes_agree
from histo_ray.storage import locate
from histo_ray.storage.files import read_file
from histo_ray.text import did_you_mean, join_or, name_first
from histo_ray.tiles.mask_image import MaskError, decode_mask_image
from histo_ray.tiles.polygons import fill_polygons, list_classes, parse_geojson
from histo_ray.types import Size, TissueMask

IMAGE_SUFFIXES = (".png", ".tif", ".tiff")
GEOJSON_SUFFIXES = (".geojson", ".json")
RASTER_PX = 4096
"""Longest side of the raster that polygons are drawn on."""
MOST_BYTES = 2**28
"""Largest mask file in bytes; GeoJSON takes some ten times as much while it is parsed."""


def read_mask(
    path: str, slide_size: Size, slide_id: str = "", classes: Sequence[str] = ()
) -> tuple[TissueMask, str]:
    """Read a mask that covers the whole slide.

    Args:
        path: Local path or URI of a PNG or TIFF (see `decode_mask_image`), or of a GeoJSON file
            with polygons in level-0 px.
        slide_size: (width, height) of level 0.
        slide_id: For messages.
        classes: Names of QuPath's classes, or values of an image, that mean tissue; empty: all
            but QuPath's `Ignore*`, or all values but 0.

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
            f"mask {path} cannot be read: {' '.join(str(error).split())}; check the pattern given "
            "as --tissue",
        ) from error
    try:
        if path.lower().endswith(GEOJSON_SUFFIXES):
            mask = _from_geojson(data, slide_size, classes)
        else:
            mask = _from_image(data, slide_size, classes)
    except MaskError as error:
        raise SlideError(slide_id, f"mask {path}: {error}") from error
    return mask, hashlib.sha256(data).hexdigest()


def _from_geojson(data: bytes, slide_size: Size, classes: Sequence[str]) -> TissueMask:
    width, height = slide_size
    scale = max(1.0, max(slide_size) / RASTER_PX)
    size = max(1, round(width / scale)), max(1, round(height / scale))
    downsample = width / size[0], height / size[1]
    try:
        polygons = parse_geojson(data, classes)
        if classes and not polygons:
            _check_classes(data, classes)
        pixels = fill_polygons(polygons, size, downsample)
    except ValueError as error:
        raise MaskError(f"bad GeoJSON ({error}); export it again") from error
    return TissueMask(pixels, downsample)


def _check_classes(data: bytes, classes: Sequence[str]) -> None:
    """Refuse GeoJSON with other classes than those asked for, or with outlines without a class."""
    there = list_classes(data)
    asked = {name.strip().lower() for name in classes}
    if any(asked & names for names in there.values()) or not (there or parse_geojson(data)):
        return
    raise MaskError(_describe_missing([name.strip() for name in classes], list(there)))


def _describe_missing(asked: list[str], there: list[str]) -> str:
    """Say that a mask has none of the classes asked for, and which it has. Pure."""
    known = list(there)
    known += [part.strip() for name in there if ":" in name for part in name.split(":")]
    near = next(filter(None, (did_you_mean(name, known) for name in asked)), "")
    return (
        f"nothing in it is of class {join_or(asked)} (--mask-classes); its classes: "
        f"{name_first(there) or 'none'}{near or '; name one of them, or leave the slide out'}"
    )


def _from_image(data: bytes, slide_size: Size, classes: Sequence[str]) -> TissueMask:
    numbers = [_class_number(name) for name in classes]
    pixels = decode_mask_image(data, numbers)
    height, width = pixels.shape
    if not sizes_agree(slide_size, (width, height)):
        raise MaskError(
            f"it has {width} x {height} px, which is not the shape of the slide "
            f"({slide_size[0]} x {slide_size[1]} px); export a mask of the whole slide, in the "
            "slide's own orientation"
        )
    return TissueMask(pixels, (slide_size[0] / width, slide_size[1] / height))


def _class_number(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise MaskError(
            f"it is an image, whose classes are whole numbers, and {name!r} is none; give numbers "
            "as --mask-classes, or masks as GeoJSON"
        ) from None


def given_mask_path(pattern: str, slide_id: str) -> str:
    """Where a slide's own mask lies, by the pattern given as --tissue."""
    return pattern.replace(GIVEN_SLIDE, slide_id)


def digest_given_mask(slide_id: str, tiling: TilingConfig) -> str:
    """SHA-256 of the mask file given for a slide; empty where the mask is computed.

    Raises:
        OSError: The file cannot be read.
    """
    if tissue_kind(tiling.tissue) != "mask":
        return ""
    data = read_file(*locate(given_mask_path(tiling.tissue, slide_id)), MOST_BYTES)
    return hashlib.sha256(data).hexdigest()
