"""QuPath's GeoJSON: the tiles of a slide as squares on it, with their tissue fraction."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from histo_ray.types import JsonObject, Receipt, TileRows

DECIMALS = 4
"""Decimal places of corners (px) and tissue fractions."""


class GeoJson:
    """One `<slide_id>.geojson` a slide, which QuPath opens on the slide by drag and drop.

    Source: RFC 7946 for the geometry; QuPath's PathObject GeoJSON for the properties (`objectType`,
    `name`, `measurements`).
    """

    name = "geojson"
    about = "tiles as polygons for QuPath, one file a slide"

    def relative_path(self, receipt: Receipt) -> str:
        """`<slide_id>.geojson`."""
        return f"{receipt.slide.slide_id}.geojson"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write a collection of polygons in level-0 px; memory holds a block of rows."""
        with path.open("x", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [')
            between = "\n"
            for feature in tile_features(rows, receipt.tiling.side):
                file.write(between + json.dumps(feature))
                between = ",\n"
            file.write("\n]}\n")


def tile_features(rows: Iterable[TileRows], side: tuple[float, float]) -> Iterator[JsonObject]:
    """One GeoJSON feature a tile, in order.

    Args:
        rows: Blocks of consecutive tiles.
        side: Exact (width, height) of a tile, level-0 px.
    """
    width, height = side
    tile_id = 0
    for block in rows:
        for (x, y), tissue in zip(block.coords.tolist(), block.tissue.tolist(), strict=True):
            right, bottom = round(x + width, DECIMALS), round(y + height, DECIMALS)
            corners = [[x, y], [right, y], [right, bottom], [x, bottom], [x, y]]
            about: JsonObject = {
                "objectType": "tile",
                "name": f"tile {tile_id}",
                "tile_id": tile_id,
            }
            if not math.isnan(tissue):  # not measured, as of imported tiles
                fraction = round(tissue, DECIMALS)
                about |= {"tissue": fraction, "measurements": {"tissue": fraction}}
            yield {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [corners]},
                "properties": about,
            }
            tile_id += 1
