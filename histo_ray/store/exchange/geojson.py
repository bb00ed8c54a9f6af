"""QuPath's GeoJSON: the tiles of a slide as squares on it, with measurements and classes.

Source: RFC 7946 for the geometry; for the properties, what QuPath 0.4 and later write and read of a
PathObject: `objectType` (`tile`: a PathTileObject, a kind of detection), `name`, `color`,
`classification` (`name`, `color`) and `measurements` (name: number).
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from histo_ray.types import JsonObject, Receipt, TileRows

DECIMALS = 4
"""Decimal places of corners (px) and tissue fractions."""
DIGITS = 6
"""Significant digits of measurements."""
Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class TileMark:
    """What is known of one tile beside its place."""

    measurements: Mapping[str, float]
    """By name; what is not finite is left out, as JSON has no word for it."""
    class_name: str = ""
    """QuPath's class; a colon in it would make a derived class. Empty: none."""
    class_colour: Rgb | None = None
    colour: Rgb | None = None
    """Colour of this tile alone; QuPath shows it in place of the class's."""
    facts: Mapping[str, int | float | str] = field(default_factory=dict)
    """Further properties, which QuPath leaves alone and other programs read."""


class GeoJson:
    """One `<slide_id>.geojson` a slide, which QuPath opens on the slide by drag and drop."""

    name = "geojson"
    about = "tiles as polygons for QuPath, one file a slide"

    def relative_path(self, receipt: Receipt) -> str:
        """`<slide_id>.geojson`."""
        return f"{receipt.slide.slide_id}.geojson"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write a collection of polygons in level-0 px; memory holds a block of rows."""
        write_features(path, tile_features(rows, receipt.tiling.side))


def write_features(path: Path, features: Iterable[JsonObject]) -> None:
    """Write a FeatureCollection, a feature a line; memory holds one of them.

    Args:
        path: Local file that is not there yet.
        features: In order.
    """
    with path.open("x", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        between = "\n"
        for feature in features:
            file.write(between + json.dumps(feature, allow_nan=False))
            between = ",\n"
        file.write("\n]}\n")


def tile_features(rows: Iterable[TileRows], side: tuple[float, float]) -> Iterator[JsonObject]:
    """One GeoJSON feature a tile with its tissue fraction, in order.

    Args:
        rows: Blocks of consecutive tiles.
        side: Exact (width, height) of a tile, level-0 px.
    """
    tile_id = 0
    for block in rows:
        for (x, y), tissue in zip(block.coords.tolist(), block.tissue.tolist(), strict=True):
            measured: dict[str, float] = {}
            if not math.isnan(tissue):  # not measured, as of imported tiles
                measured["tissue"] = round(tissue, DECIMALS)
            yield tile_feature(tile_id, (x, y), side, TileMark(measured, facts=measured))
            tile_id += 1


def tile_feature(
    tile_id: int, corner: tuple[int, int], side: tuple[float, float], mark: TileMark
) -> JsonObject:
    """One tile as a GeoJSON feature.

    Args:
        tile_id: Number of the tile on its slide.
        corner: Top-left (x, y), level-0 px.
        side: Exact (width, height), level-0 px.
        mark: What is known of it.
    """
    x, y = corner
    right, bottom = round(x + side[0], DECIMALS), round(y + side[1], DECIMALS)
    properties: JsonObject = {
        "objectType": "tile",
        "name": f"tile {tile_id}",
        "tile_id": tile_id,
        **mark.facts,
    }
    if mark.colour is not None:
        properties["color"] = list(mark.colour)
    if mark.class_name:
        properties["classification"] = {"name": mark.class_name}
        if mark.class_colour is not None:
            properties["classification"]["color"] = list(mark.class_colour)
    properties["measurements"] = {
        name: _shorten(value) for name, value in mark.measurements.items() if math.isfinite(value)
    }
    corners = [[x, y], [right, y], [right, bottom], [x, bottom], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": properties,
    }


def _shorten(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
