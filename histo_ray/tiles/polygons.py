"""GeoJSON polygons onto a raster. Pure."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.types import JsonObject, Size

Ring = npt.NDArray[np.float64]
"""(V, 2) corners (x, y)."""
Polygon = list[Ring]
"""The outline, then its holes."""

_IGNORE = "ignore*"
"""QuPath's class of what shall not count, in lower case."""
_DEEPEST = 20
_JSON_NAMES: dict[type, str] = {
    int: "a number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    list: "a list",
    type(None): "null",
}
_IGNORED = ("Point", "MultiPoint", "LineString", "MultiLineString")
_LEAST_CORNERS = 3
_FARTHEST = 1e9
"""A corner farther from the slide's own is made up, and would overflow below."""
_AT_ONCE = 2**22
"""Rows crossed by edges that are worked on together: some hundred MB."""
_MOST_WORK = 2**33
"""Px visited, about a minute: some 500 outlines as large as the slide, or millions of cells."""
_CROSSING_COST = 16
"""Cost of one row crossed by one edge, in px visited."""


def parse_geojson(text: str | bytes, classes: Sequence[str] = ()) -> list[Polygon]:
    """The polygons of a GeoJSON text: features, collections and bare geometries, as QuPath writes.

    Points and lines have no area and are left out, and so are features of QuPath's class `Ignore*`
    unless it is asked for.

    Args:
        text: JSON; coordinates in level-0 px.
        classes: Names of classes, in any case; only features of these count. Of a derived class,
            as `Tumor: Positive`, the whole name or any of its parts.

    Raises:
        ValueError: Not GeoJSON, or a polygon without three finite corners.
    """
    polygons: list[Polygon] = []
    for part in _parse_parts(text):
        _collect(part, polygons, frozenset(name.strip().lower() for name in classes))
    return polygons


def list_classes(text: str | bytes) -> dict[str, frozenset[str]]:
    """Classes of the features of a GeoJSON text that `parse_geojson` takes.

    Returns:
        By a class as it is written: the names, in lower case, by which it can be asked for.
    """
    found: dict[str, frozenset[str]] = {}
    left = _parse_parts(text)[::-1]
    while left:
        part = left.pop()
        if part.get("type") == "FeatureCollection":
            left += _list(part, "features")[::-1]
        elif part.get("type") == "Feature" and (name := _class_of(part.get("properties"))):
            found[name] = _class_names(part.get("properties"))
    return found


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

    Raises:
        ValueError: They would take more than about a minute to draw.
    """
    mask = np.zeros((size[1], size[0]), bool)
    left = _MOST_WORK
    for polygon in polygons:
        rings = [ring / downsample for ring in polygon]
        corners = np.concatenate(rings)
        limits = [size[0], size[1]]
        x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, limits).astype(int)
        if x1 > x0 and y1 > y0:
            edges = _Edges([ring - (x0, y0) for ring in rings], (x1 - x0, y1 - y0))
            left -= int((x1 - x0) * (y1 - y0) + edges.spans.sum() * _CROSSING_COST)
            if left < 0:
                raise ValueError(
                    f"{len(polygons)} polygons whose outlines are too large or too jagged to draw"
                )
            mask[y0:y1, x0:x1] |= edges.fill()
    return mask


class _Edges:
    """Even-odd scan conversion: every edge flips the px right of it on the rows it crosses."""

    def __init__(self, rings: list[Ring], size: Size) -> None:
        starts = np.concatenate(rings)
        ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
        rising = starts[:, 1] > ends[:, 1]
        starts[rising], ends[rising] = ends[rising], starts[rising]
        self._size = size
        self._starts, self._ends = starts, ends
        self._first = np.clip(np.ceil(starts[:, 1] - 0.5), 0, size[1]).astype(np.int64)
        last = np.clip(np.ceil(ends[:, 1] - 0.5), 0, size[1]).astype(np.int64)
        self.spans = np.maximum(last - self._first, 0)
        """(edges,) rows that each crosses."""

    def fill(self) -> npt.NDArray[np.bool_]:
        """(height, width) bool; memory is bounded whatever the number of edges."""
        width, height = self._size
        flips = np.zeros((height, width + 1), np.uint8)
        batch = np.cumsum(self.spans) // _AT_ONCE
        for number in np.unique(batch):
            self._flip(flips, np.flatnonzero(batch == number))
        return np.bitwise_xor.accumulate(flips[:, :width], axis=1).astype(bool)

    def _flip(self, flips: npt.NDArray[np.uint8], edges: npt.NDArray[np.int64]) -> None:
        spans = self.spans[edges]
        edge = np.repeat(edges, spans)
        row = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        row += self._first[edge]
        starts = self._starts[edge]
        delta = self._ends[edge] - starts
        crossing = starts[:, 0] + delta[:, 0] * (row + 0.5 - starts[:, 1]) / delta[:, 1]
        column = np.clip(np.ceil(crossing - 0.5), 0, self._size[0]).astype(np.int64)
        place = row * flips.shape[1] + column
        flips ^= (
            (np.bincount(place, minlength=flips.size) & 1).astype(np.uint8).reshape(flips.shape)
        )


def _parse_parts(text: str | bytes) -> list[Any]:
    """The objects of a JSON text: those of a list, or the one that it holds."""
    try:
        root = json.loads(text)
    except ValueError as error:  # also of a number with thousands of digits
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return root if isinstance(root, list) else [root]


def _collect(part: Any, polygons: list[Polygon], classes: frozenset[str], depth: int = 0) -> None:
    """Add the polygons of one GeoJSON object to `polygons`."""
    if not isinstance(part, dict) or depth > _DEEPEST:
        found = _JSON_NAMES.get(type(part), "too deep nesting")
        raise ValueError(f"it holds {found} where a GeoJSON object belongs")
    kind = part.get("type")
    if kind == "FeatureCollection":
        for feature in _list(part, "features"):
            _collect(feature, polygons, classes, depth + 1)
    elif kind == "Feature":
        if part.get("geometry") is not None and _counts(part, classes):
            _collect(part["geometry"], polygons, frozenset(), depth + 1)
    elif classes:
        pass  # a geometry without a feature has no class
    elif kind == "GeometryCollection":
        for geometry in _list(part, "geometries"):
            _collect(geometry, polygons, classes, depth + 1)
    elif kind == "Polygon":
        polygons.append(_polygon(_list(part, "coordinates")))
    elif kind == "MultiPolygon":
        polygons.extend(_polygon(rings) for rings in _list(part, "coordinates"))
    elif kind not in _IGNORED:
        raise ValueError(
            f"it holds an object of type {kind!r}, which is not Polygon, MultiPolygon or a "
            "collection of them"
        )


def _counts(feature: JsonObject, classes: frozenset[str]) -> bool:
    """Whether a feature's class is among `classes`; without any, whether it is not ignored."""
    names = _class_names(feature.get("properties"))
    if classes:
        return not names.isdisjoint(classes)
    return _IGNORE not in names


def _class_names(properties: Any) -> frozenset[str]:
    """A feature's class and the parts of a derived one, in lower case; empty for none."""
    whole = _class_of(properties).lower()
    return frozenset({whole, *(each.strip() for each in whole.split(":"))}) - {""}


def _class_of(properties: Any) -> str:
    """A feature's class as it is written; empty for none.

    QuPath writes `classification` as an object with `name`, since 0.5 with `names` where a class is
    derived; others write a string, or null.
    """
    said = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(said, dict):
        said = said.get("name") or said.get("names")
    if isinstance(said, list):
        said = ": ".join(str(each) for each in said)
    return said.strip() if isinstance(said, str) else ""


def _list(part: JsonObject, key: str) -> list[Any]:
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
        except (TypeError, ValueError, KeyError, OverflowError):
            raise ValueError("a polygon whose corners are not pairs of numbers") from None
        if len(corners) < _LEAST_CORNERS or not np.isfinite(corners).all():
            raise ValueError(
                f"a polygon ring of {len(corners)} corners, where it takes 3 or more, all finite"
            )
        if np.abs(corners).max() > _FARTHEST:
            raise ValueError(f"a corner {np.abs(corners).max():g} px away from the slide's own")
        polygon.append(corners)
    return polygon
