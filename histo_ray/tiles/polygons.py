"""GeoJSON polygons onto a raster. Pure."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.types import Size

Ring = npt.NDArray[np.float64]
"""(V, 2) corners (x, y)."""
Polygon = list[Ring]
"""The outline, then its holes."""

_IGNORED = ("Point", "MultiPoint", "LineString", "MultiLineString")
_LEAST_CORNERS = 3


def parse_geojson(text: str | bytes) -> list[Polygon]:
    """The polygons of a GeoJSON text: features, collections and bare geometries, as QuPath writes.

    Points and lines have no area and are left out.

    Args:
        text: JSON; coordinates in level-0 px.

    Raises:
        ValueError: Not GeoJSON, or a polygon without three finite corners.
    """
    try:
        root = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    polygons: list[Polygon] = []
    for part in root if isinstance(root, list) else [root]:
        _collect(part, polygons, 0)
    return polygons


def fill_polygons(
    polygons: list[Polygon], size: Size, downsample: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """Set every px whose centre lies in a polygon (even-odd within one, so holes stay out).

    Args:
        polygons: In level-0 px.
        size: (width, height) of the raster.
        downsample: Level-0 px per raster px, (x, y).

    Returns:
        (height, width) bool, the union of all polygons.
    """
    mask = np.zeros((size[1], size[0]), bool)
    for polygon in polygons:
        rings = [ring / downsample for ring in polygon]
        corners = np.concatenate(rings)
        limits = [size[0], size[1]]
        x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, limits).astype(int)
        if x1 > x0 and y1 > y0:
            inside = _fill([ring - (x0, y0) for ring in rings], (x1 - x0, y1 - y0))
            mask[y0:y1, x0:x1] |= inside
    return mask


def _fill(rings: list[Ring], size: Size) -> npt.NDArray[np.bool_]:
    """Even-odd scan conversion: every edge flips the px right of it on the rows it crosses."""
    width, height = size
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    rising = starts[:, 1] > ends[:, 1]
    starts[rising], ends[rising] = ends[rising], starts[rising]
    first = np.clip(np.ceil(starts[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(ends[:, 1] - 0.5), 0, height).astype(np.int64)
    spans = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(starts)), spans)
    row = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans) + first[edge]
    delta = ends[edge] - starts[edge]
    crossing = starts[edge, 0] + delta[:, 0] * (row + 0.5 - starts[edge, 1]) / delta[:, 1]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    flips = np.zeros((height, width + 1), np.uint8)
    np.bitwise_xor.at(flips, (row, column), 1)
    return np.bitwise_xor.accumulate(flips[:, :width], axis=1).astype(bool)


def _collect(part: Any, polygons: list[Polygon], depth: int) -> None:
    """Add the polygons of one GeoJSON object to `polygons`."""
    if not isinstance(part, dict) or depth > 20:
        raise ValueError(f"found {type(part).__name__}, wanted a GeoJSON object")
    kind = part.get("type")
    if kind == "FeatureCollection":
        for feature in _list(part, "features"):
            _collect(feature, polygons, depth + 1)
    elif kind == "Feature":
        if part.get("geometry") is not None:
            _collect(part["geometry"], polygons, depth + 1)
    elif kind == "GeometryCollection":
        for geometry in _list(part, "geometries"):
            _collect(geometry, polygons, depth + 1)
    elif kind == "Polygon":
        polygons.append(_polygon(_list(part, "coordinates")))
    elif kind == "MultiPolygon":
        polygons.extend(_polygon(rings) for rings in _list(part, "coordinates"))
    elif kind not in _IGNORED:
        raise ValueError(f"type {kind!r}, wanted Polygon, MultiPolygon or a collection of them")


def _list(part: dict[str, Any], key: str) -> list[Any]:
    value = part.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{part['type']} without a list of {key}")
    return value


def _polygon(rings: Any) -> Polygon:
    if not isinstance(rings, list) or not rings:
        raise ValueError("a polygon without rings")
    polygon = []
    for ring in rings:
        try:
            corners = np.array([corner[:2] for corner in ring], np.float64).reshape(-1, 2)
        except (TypeError, ValueError, KeyError):
            raise ValueError("a polygon whose corners are not pairs of numbers") from None
        if len(corners) < _LEAST_CORNERS or not np.isfinite(corners).all():
            raise ValueError(f"a polygon ring of {len(corners)} corners, wanted 3 finite ones")
        polygon.append(corners)
    return polygon
