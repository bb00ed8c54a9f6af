"""Tiles of a Ventana BIF or TIFF whose tiles do not overlap.

The rules are those of OpenSlide's driver `ventana`. Neighbouring tiles of many BIFs overlap by a
fraction of a pixel on average, which OpenSlide draws by interpolation; those stay with it.
"""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import NamedTuple

import tifffile

from histo_ray.slides.direct.layout import Layout, Level, TileArray, UnrecognisedError
from histo_ray.slides.direct.tiff_layout import read_tile_array
from histo_ray.slides.direct.vendor_tiff import (
    KnownSlide,
    check_levels,
    full_pages,
    number_attribute,
    parse_tiff,
    parse_xml,
    whole_attribute,
)
from histo_ray.types import Size

_DESCRIPTION, _XML = 270, 700


class _Area(NamedTuple):
    """One scanned area."""

    first: tuple[int, int]
    """(column, row) of its first tile in the TIFF."""
    tiles: tuple[int, int]
    """Tiles across and down."""
    corner: tuple[int, int]
    """(x, y) in level-0 px of the slide."""


def read_ventana(path: str, known: KnownSlide) -> Layout:
    """Find the tiles of each level.

    Args:
        path: Local file.
        known: The slide by OpenSlide.

    Raises:
        UnrecognisedError: Tiles overlap, or anything is not as this reader knows it.
    """
    with parse_tiff(path) as tiff:
        pages = [page for page in full_pages(tiff) if "level=" in _describe(page)]
        arrays = [read_tile_array(page, tiff.filehandle.size) for page in pages]
        text = pages[0].tags.valueof(_XML) if pages else None
    if len(arrays) != len(known.level_sizes):
        raise UnrecognisedError(f"{len(arrays)} levels, not {len(known.level_sizes)}")
    areas = None if text is None else _read_areas(parse_xml(text), arrays[0].tile)
    levels = []
    for array, downsample in zip(arrays, known.downsamples, strict=True):
        if array.tile != arrays[0].tile or not downsample.is_integer():
            raise UnrecognisedError(f"tiles of {array.tile} px, {downsample:g} times smaller")
        if areas is None:
            levels.append(Level(array.size, (array,), array.codes.complete))
        else:
            levels.append(_place_level(array, areas, int(downsample)))
    return Layout(check_levels(tuple(levels), known))


def _describe(page: tifffile.TiffPage) -> str:
    text = page.tags.valueof(_DESCRIPTION, "")
    return text if isinstance(text, str) else ""


def _read_areas(root: ET.Element, tile: Size) -> list[_Area]:
    """The scanned areas, whose tiles do not overlap."""
    infos = root.findall("SlideStitchInfo/ImageInfo")
    origins = root.findall("AoiOrigin/*")
    if root.tag != "EncodeInfo" or not infos or len(infos) != len(origins):
        raise UnrecognisedError("areas without an origin")
    scanned = [
        (info, origin)
        for info, origin in zip(infos, origins, strict=True)
        if whole_attribute(info, "AOIScanned")
    ]
    _check_joints([info for info, _ in scanned])
    areas = [_read_area(info, origin, tile) for info, origin in scanned]
    if not areas:
        raise UnrecognisedError("no scanned area")
    # the file counts from a line below all areas upwards
    top = max(0, *(area.corner[1] + area.tiles[1] * tile[1] for area in areas), 0)
    return [
        area._replace(corner=(area.corner[0], top - area.corner[1] - area.tiles[1] * tile[1]))
        for area in areas
    ]


def _check_joints(infos: list[ET.Element]) -> None:
    """Refuse overlaps. OpenSlide shifts all tiles by their mean, weighted by confidence."""
    weights = {"RIGHT": 0, "UP": 0}
    for info in infos:
        for joint in info.findall("TileJointInfo"):
            direction = joint.get("Direction", "")
            name = {"RIGHT": "OverlapX", "UP": "OverlapY"}.get(direction)
            if name is None or number_attribute(joint, name) != 0:
                raise UnrecognisedError("tiles that overlap")
            weights[direction] += max(0, whole_attribute(joint, "Confidence"))
    if not all(weights.values()):
        raise UnrecognisedError("tiles whose distance is not stated")


def _read_area(info: ET.Element, origin: ET.Element, tile: Size) -> _Area:
    size = whole_attribute(info, "Width"), whole_attribute(info, "Height")
    start = whole_attribute(origin, "OriginX"), whole_attribute(origin, "OriginY")
    tiles = whole_attribute(info, "NumCols"), whole_attribute(info, "NumRows")
    if size != tile or start[0] % tile[0] or start[1] % tile[1] or min(start) < 0 or min(tiles) < 1:
        raise UnrecognisedError("an area that does not begin with a tile")
    corner = int(number_attribute(info, "Pos-X")), int(number_attribute(info, "Pos-Y"))
    return _Area((start[0] // tile[0], start[1] // tile[1]), tiles, corner)


def _place_level(array: TileArray, areas: list[_Area], downsample: int) -> Level:
    """One level, whose tiles show `downsample` times as many tiles of level 0 each way."""
    tile = array.tile[0] // downsample, array.tile[1] // downsample
    usable = array.codes.complete and all(edge % downsample == 0 for edge in array.tile)
    placed, ends = [], []
    for area in areas:
        first = area.first[0] * tile[0], area.first[1] * tile[1]
        stop = first[0] + area.tiles[0] * tile[0], first[1] + area.tiles[1] * tile[1]
        usable &= all(corner % downsample == 0 for corner in area.corner)
        usable &= stop[0] <= array.size[0] and stop[1] <= array.size[1]
        corner = area.corner[0] // downsample - first[0], area.corner[1] // downsample - first[1]
        placed.append(replace(array, first=first, size=stop, corner=corner))
        ends.append(
            tuple(
                math.ceil((at + count * edge) / downsample)
                for at, count, edge in zip(area.corner, area.tiles, array.tile, strict=True)
            )
        )
    if _any_overlap(placed):
        raise UnrecognisedError("areas that overlap")
    size = max(x for x, _ in ends), max(y for _, y in ends)
    return Level(size, tuple(placed), usable)


def _any_overlap(arrays: list[TileArray]) -> bool:
    """Whether areas share tiles of the file, or px of the slide."""
    for number, one in enumerate(arrays):
        for other in arrays[:number]:
            for moved in (False, True):
                spans = [
                    (
                        max(a.first[axis] + moved * a.corner[axis] for a in (one, other)),
                        min(a.size[axis] + moved * a.corner[axis] for a in (one, other)),
                    )
                    for axis in (0, 1)
                ]
                if all(low < high for low, high in spans):
                    return True
    return False
