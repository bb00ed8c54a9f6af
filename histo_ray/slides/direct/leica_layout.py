"""Tiles of a Leica SCN: several scanned areas on the glass, each an image of its own.

The rules are those of OpenSlide's driver `leica`: where areas lie follows from nanometres in the
XML, divided by the finest resolution that any area has at a level, fractions cut off.
"""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import NamedTuple

from histo_ray.slides.direct.layout import Layout, Level, TileArray, UnrecognisedError
from histo_ray.slides.direct.tiff_layout import read_tile_array
from histo_ray.slides.direct.vendor_tiff import (
    KnownSlide,
    check_levels,
    full_pages,
    parse_tiff,
    parse_xml,
    whole_attribute,
)
from histo_ray.types import Size

_NAMESPACES = (
    "http://www.leica-microsystems.com/scn/2010/03/10",
    "http://www.leica-microsystems.com/scn/2010/10/01",
)


class _Image(NamedTuple):
    """One scanned area, in nanometres."""

    size_nm: Size
    corner_nm: tuple[int, int]
    pages: list[tuple[int, int]]
    """(width in px, number of the directory) of each resolution, the finest first."""


def read_leica(path: str, known: KnownSlide) -> Layout:
    """Find the tiles of each level.

    Args:
        path: Local file.
        known: The slide by OpenSlide.

    Raises:
        UnrecognisedError: Anything is not as this reader knows it.
    """
    with parse_tiff(path) as tiff:
        pages = full_pages(tiff)
        glass, images = _read_images(pages[0].tags.valueof(270))
        numbers = {number for image in images for _, number in image.pages}
        if not numbers or not numbers <= set(range(len(pages))):
            raise UnrecognisedError("images without a directory")
        end = tiff.filehandle.size
        arrays = {number: read_tile_array(pages[number], end) for number in numbers}
    levels = tuple(_place_level(glass, images, at, arrays) for at in range(len(images[0].pages)))
    areas = [(*array.corner, *array.size) for array in levels[0].arrays]
    if areas != list(known.regions):
        raise UnrecognisedError(f"areas {areas}, where OpenSlide finds {list(known.regions)}")
    return Layout(check_levels(levels, known))


def _read_images(text: object) -> tuple[Size, list[_Image]]:
    """Size of the glass in nm, and its bright-field areas."""
    root = parse_xml(text)
    prefix = root.tag.partition("}")[0] + "}"
    collection = root.find(f"{prefix}collection")
    if prefix[1:-1] not in _NAMESPACES or root.tag != f"{prefix}scn" or collection is None:
        raise UnrecognisedError("an XML text of another kind")
    glass = whole_attribute(collection, "sizeX"), whole_attribute(collection, "sizeY")
    found = [_read_image(node, prefix) for node in collection.findall(f"{prefix}image")]
    images = [
        image
        for image, light in found
        if light == "brightfield" and (image.corner_nm, image.size_nm) != ((0, 0), glass)
    ]
    if not images or any(len(image.pages) != len(images[0].pages) for image in images):
        raise UnrecognisedError("areas of different resolutions")
    return glass, images


def _read_image(node: ET.Element, prefix: str) -> tuple[_Image, str]:
    """One area, and the light that it was scanned in."""
    view = node.find(f"{prefix}view")
    if view is None:
        raise UnrecognisedError("an image without its view")
    light = f"{prefix}scanSettings/{prefix}illuminationSettings/{prefix}illuminationSource"
    pages = [
        (whole_attribute(dimension, "sizeX"), whole_attribute(dimension, "ifd"))
        for dimension in node.findall(f"{prefix}pixels/{prefix}dimension")
        if dimension.get("z", "0") == "0"
    ]
    if len({width for width, _ in pages}) != len(pages) or min(pages, default=(0, 0))[0] < 1:
        raise UnrecognisedError("resolutions of one width")
    image = _Image(
        (whole_attribute(view, "sizeX"), whole_attribute(view, "sizeY")),
        (whole_attribute(view, "offsetX"), whole_attribute(view, "offsetY")),
        sorted(pages, reverse=True),
    )
    return image, node.findtext(light, "")


def _place_level(glass: Size, images: list[_Image], at: int, arrays: dict[int, TileArray]) -> Level:
    """One level: each area's image where it lies on the glass."""
    scales = [image.size_nm[0] / image.pages[at][0] for image in images]
    nm = min(scales)
    if nm <= 0 or any(abs(scale - scales[0]) / scales[0] > 0.02 for scale in scales):
        raise UnrecognisedError("areas of different resolutions")
    placed = tuple(
        replace(
            arrays[image.pages[at][1]],
            corner=(int(image.corner_nm[0] / nm), int(image.corner_nm[1] / nm)),
        )
        for image in images
    )
    return Level(
        size=(math.ceil(glass[0] / nm), math.ceil(glass[1] / nm)),
        arrays=placed,
        usable=all(array.codes.complete for array in placed),
        whole_px=True,
    )
