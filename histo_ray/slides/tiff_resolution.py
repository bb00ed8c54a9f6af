"""Resolution stated in the texts of a TIFF (OME-XML, ImageJ). Values are checked later."""

import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import tifffile

from histo_ray.slides.resolution import StatedMpp
from histo_ray.types import JsonObject

MOST_XML_BYTES = 2**24
"""Largest OME-XML that is parsed; a slide's takes some kB."""
_MICRONS = {
    "pm": 1e-6,
    "\u00c5": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "m": 1e6,
    "thou": 25.4,
    "in": 25_400.0,
    "inch": 25_400.0,
}
"""Microns a unit; `pixel`, `reference frame` and unknown words are no length."""
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")


def microns_per(unit: object) -> float | None:
    """Microns a unit of length as OME-XML and ImageJ write it; None if it is no known length."""
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), str(unit)).strip()
    text = text.replace("\u03bc", "\u00b5").replace("\u212b", "\u00c5")  # look-alikes: mu, ring
    return _MICRONS.get(text) or _MICRONS.get(text.lower())


def read_stated_mpp(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[StatedMpp, ...]:
    """Resolutions of the first image that OME-XML or ImageJ's text state.

    Args:
        tiff: The file.
        page: Its first image.
    """
    stated = []
    if tiff.is_ome:
        stated.append(_from_ome(page))
    if tiff.is_imagej:
        stated.append(_from_imagej(page, tiff.imagej_metadata or {}))
    return tuple(each for each in stated if each.x is not None or each.y is not None)


def per_unit(page: tifffile.TiffPage, name: str) -> float | None:
    """Px a unit by a resolution tag; None if it is missing or no fraction."""
    value = page.tags.valueof(name)
    if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
        return None
    return float(value[0]) / float(value[1])


def count_ome_planes(page: tifffile.TiffPage) -> int:
    """Focal planes, time points and channels that OME-XML tells of beside one image's own."""
    pixels = _ome_pixels(page)
    if pixels is None:
        return 1
    sizes = {key: int(_number(pixels.get(f"Size{key}")) or 1) for key in "CZT"}
    channels = max(1, sizes["C"] // max(1, int(page.samplesperpixel)))
    return sizes["Z"] * sizes["T"] * channels


def _from_ome(page: tifffile.TiffPage) -> StatedMpp:
    pixels = _ome_pixels(page)

    def size(axis: str) -> float | None:
        if pixels is None:
            return None
        value = _number(pixels.get(f"PhysicalSize{axis}"))
        microns = microns_per(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        return None if value is None or microns is None else value * microns

    return StatedMpp("ome-xml", size("X"), size("Y"))


def _ome_pixels(page: tifffile.TiffPage) -> ET.Element | None:
    """The OME-XML's Pixels of an image: the first of its size."""
    text: str = page.description
    if len(text) > MOST_XML_BYTES or "<!ENTITY" in text:  # entities could grow without end
        return None
    try:
        root = ET.fromstring(text)  # noqa: S314
    except (ET.ParseError, ValueError):
        return None
    for pixels in _elements(root, "Pixels"):
        width, height = _number(pixels.get("SizeX")), _number(pixels.get("SizeY"))
        if width == page.imagewidth and height == page.imagelength:
            return pixels
    return None


def _elements(root: ET.Element, name: str) -> Iterator[ET.Element]:
    """Elements by name, whatever the schema's version."""
    return (each for each in root.iter() if str(each.tag).rpartition("}")[2] == name)


def _from_imagej(page: tifffile.TiffPage, said: JsonObject) -> StatedMpp:
    unit = said.get("unit", "")

    def size(tag: str, axis_unit: object) -> float | None:
        microns, density = microns_per(axis_unit), per_unit(page, tag)
        if microns is None or not density or density <= 0:
            return None
        return microns / density

    return StatedMpp(
        "imagej", size("XResolution", unit), size("YResolution", said.get("yunit", unit))
    )


def _number(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
