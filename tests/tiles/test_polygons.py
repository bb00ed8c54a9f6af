import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.tiles.polygons import fill_polygons, parse_geojson

OUTLINE = [[10, 20], [90, 20], [90, 60], [10, 60], [10, 20]]
HOLE = [[30, 30], [50, 30], [50, 40], [30, 40], [30, 30]]
POLYGON = {"type": "Polygon", "coordinates": [OUTLINE, HOLE]}


def expected() -> Any:
    mask = np.zeros((70, 120), bool)
    mask[20:60, 10:90] = True
    mask[30:40, 30:50] = False
    return mask


@pytest.mark.parametrize(
    "document",
    [
        POLYGON,
        {"type": "MultiPolygon", "coordinates": [[OUTLINE, HOLE]]},
        {"type": "Feature", "geometry": POLYGON, "properties": {"objectType": "annotation"}},
        [{"type": "Feature", "geometry": POLYGON}],
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "geometry": POLYGON},
                {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
                {"type": "Feature", "geometry": None},
            ],
        },
        {"type": "GeometryCollection", "geometries": [POLYGON]},
    ],
)
def test_every_form_that_qupath_writes_is_drawn_with_its_holes(document: Any) -> None:
    polygons = parse_geojson(json.dumps(document))
    np.testing.assert_array_equal(fill_polygons(polygons, (120, 70), (1, 1)), expected())


def test_axes_are_scaled_apart() -> None:
    polygons = parse_geojson(json.dumps(POLYGON))
    np.testing.assert_array_equal(fill_polygons(polygons, (60, 14), (2, 5)), expected()[2::5, ::2])


def test_polygons_are_united_and_cut_at_the_border() -> None:
    first = np.array([[-50.0, -50], [40, -50], [40, 30], [-50, 30]])
    second = np.array([[20.0, 10], [500, 10], [500, 500], [20, 500]])
    mask = fill_polygons([[first], [second]], (120, 70), (1, 1))
    wanted = np.zeros((70, 120), bool)
    wanted[:30, :40] = True
    wanted[10:, 20:] = True
    np.testing.assert_array_equal(mask, wanted)
    triangle = [np.array([[0.0, 0], [120, 0], [0, 70]])]
    square = [np.array([[80.0, 40], [110, 40], [110, 65], [80, 65]])]  # beyond the triangle's edge
    both = fill_polygons([square, triangle], (120, 70), (1, 1))
    assert both[40:65, 80:110].all()
    assert both[:, 0].all()
    outside = [np.array([[200.0, 5], [300, 5], [300, 9]])]
    assert not fill_polygons([outside], (120, 70), (1, 1)).any()


@given(st.lists(st.tuples(st.floats(-30, 150), st.floats(-30, 100)), min_size=3, max_size=9))
def test_a_pixel_is_set_where_its_centre_is_inside(corners: list[tuple[float, float]]) -> None:
    ring = np.array(corners)
    mask = fill_polygons([[ring]], (120, 70), (1, 1))
    x, y = np.meshgrid(np.arange(120) + 0.5, np.arange(70) + 0.5)
    inside = np.zeros((70, 120), bool)
    on_edge = np.zeros((70, 120), bool)  # centres there may fall either way
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crosses = (y0 <= y) != (y1 <= y)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            right_of_edge = x - (x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        inside ^= crosses & (right_of_edge >= 0)
        on_edge |= crosses & (np.abs(right_of_edge) < 1e-6)
    np.testing.assert_array_equal(mask | on_edge, inside | on_edge)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("3", "holds a number where a GeoJSON object belongs"),
        ('{"type": "Circle"}', "type 'Circle', which is not Polygon"),
        ('{"type": "Polygon"}', "without a list of coordinates"),
        ('{"type": "FeatureCollection", "features": 3}', "without a list of features"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}', "2 corners"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [3, "a"], [4, 5]]]}', "pairs of numbers"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [3, NaN], [4, 5]]]}', "finite"),
        ('{"type": "Polygon", "coordinates": [7]}', "pairs of numbers"),
        ('{"type": "Polygon", "coordinates": []}', "without rings"),
    ],
)
def test_bad_geojson_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_geojson(text)


SQUARE = {"type": "Polygon", "coordinates": [OUTLINE]}


def feature(classification: Any, geometry: Any = SQUARE) -> dict[str, Any]:
    about = {} if classification == "absent" else {"classification": classification}
    return {"type": "Feature", "geometry": geometry, "properties": about}


@pytest.mark.parametrize(
    ("classification", "counts"),
    [
        ({"name": "Ignore*", "color": [180, 180, 180]}, False),
        ({"name": "ignore*"}, False),
        ({"names": ["Ignore*"]}, False),
        ({"names": ["Tumor", "Ignore*"]}, False),
        ({"name": "Ignore*: Positive"}, False),
        ("Ignore*", False),
        ({"name": "Tumor", "colorRGB": -3670016}, True),
        ({"name": "Region*"}, True),
        ({"name": "Ignore"}, True),
        ({"name": None}, True),
        ({}, True),
        (None, True),
        (7, True),
        ("absent", True),
    ],
)
def test_features_of_the_class_ignore_are_left_out(classification: Any, counts: bool) -> None:
    for document in (
        feature(classification),
        [feature(classification)],
        {"type": "FeatureCollection", "features": [feature(classification)]},
        feature(classification, {"type": "GeometryCollection", "geometries": [SQUARE]}),
        feature(classification, {"type": "MultiPolygon", "coordinates": [[OUTLINE], [OUTLINE]]}),
    ):
        assert bool(parse_geojson(json.dumps(document))) == counts
    assert len(parse_geojson(json.dumps({"type": "Feature", "geometry": SQUARE}))) == 1
    assert len(parse_geojson(json.dumps(feature(None) | {"properties": None}))) == 1


def test_chosen_classes_count_and_no_others() -> None:
    document = [
        feature({"name": "Tumor: Positive"}),
        feature({"names": ["Tumor", "Negative"]}),
        feature("Stroma", POLYGON),
        feature({"name": "Ignore*"}),
        feature(None),
        SQUARE,
    ]
    text = json.dumps(document)
    for classes, count in {
        (): 5,
        ("tumor",): 2,
        ("Tumor: Positive",): 1,
        ("Stroma", "Negative"): 2,
        ("Ignore*",): 1,
        ("Necrosis",): 0,
    }.items():
        assert len(parse_geojson(text, classes)) == count, classes
    (with_hole,) = parse_geojson(text, ["stroma"])
    np.testing.assert_array_equal(fill_polygons([with_hole], (120, 70), (1, 1)), expected())
