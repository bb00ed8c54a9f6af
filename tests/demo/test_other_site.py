"""What the demo says of another site's tiles is held against what was drawn there."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from histo_ray.demo.other_site import CROWDED, crowd_shares, score_tiles
from histo_ray.demo.truth_picture import draw_beside_truth
from histo_ray.report.slides.slide_pixels import SlidePixels
from histo_ray.store.store import Store, open_store
from histo_ray.synth.crowds import CROWD_CLASS
from histo_ray.types import TileGrid
from tests.made_up import facts_of, rows_of

LEFT, TOP, RIGHT, BOTTOM = 0, 0, 600, 500
"""A planted crowd, level-0 px."""


def write_outline(path: Path) -> None:
    ring = [[LEFT, TOP], [RIGHT, TOP], [RIGHT, BOTTOM], [LEFT, BOTTOM], [LEFT, TOP]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": CROWD_CLASS}},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))


@pytest.fixture
def place(tmp_path: Path) -> Store:
    """A store of slides S1, with a crowd at its left, and S2, without any."""
    store = open_store(str(tmp_path / "store"), create=True)
    for slide_id in ("S1", "S2"):
        facts = facts_of(slide_id)
        store.commit(facts.key, facts, rows_of(4))
    (tmp_path / "crowds").mkdir()
    write_outline(tmp_path / "crowds" / "S1.geojson")
    empty = {"type": "FeatureCollection", "features": []}
    (tmp_path / "crowds" / "S2.geojson").write_text(json.dumps(empty))
    return store


def test_the_share_of_a_tile_is_what_of_it_lies_inside_the_outline(
    place: Store, tmp_path: Path
) -> None:
    receipts = {key.slide_id: receipt for key, receipt in place.receipts().items()}
    width, height = receipts["S1"].tiling.side
    coords = np.array(
        [[0, 0], [round(RIGHT - width / 2), 0], [RIGHT, 0], [0, 269]],
        np.int32,
    )
    shares = crowd_shares(coords, tmp_path / "crowds", receipts["S1"])
    np.testing.assert_allclose(shares, [1, 0.5, 0, (BOTTOM - 269) / height], atol=0.01)
    assert crowd_shares(coords, tmp_path / "crowds", receipts["S2"]).tolist() == [0] * 4


def test_scores_that_rise_with_the_truth_have_area_one_and_turned_ones_none(
    place: Store, tmp_path: Path
) -> None:
    tiles = pd.DataFrame(
        {
            "slide_id": ["S2", "S1", "S2", "S1"],
            "x": [0, 0, 300, RIGHT],
            "y": [0, 0, 0, 0],
            "contribution": [0.1, 2.0, -1.0, 0.3],
        }
    )
    assert CROWDED < 1
    assert score_tiles(tiles, tmp_path / "crowds", str(place.root.path)) == 1.0
    turned = tiles.assign(contribution=-tiles["contribution"])
    assert score_tiles(turned, tmp_path / "crowds", str(place.root.path)) == 0.0


def test_the_truth_is_drawn_beside_the_heat_map_where_it_lies(tmp_path: Path) -> None:
    write_outline(tmp_path / "S1.geojson")
    overview = np.full((300, 500, 3), 240, np.uint8)
    pixels = SlidePixels(overview, (10.0, 10.0), {})
    coords = np.array([[0, 0], [2000, 1000]], np.int32)
    grid = TileGrid("S1", coords, np.ones(2, np.float32), (450.0, 450.0))
    page = draw_beside_truth(
        pixels, grid, np.array([1.0, -1.0]), tmp_path / "S1.geojson", "title", "label", "note"
    )
    blue = page[..., 2].astype(int) - page[..., 0] > 150
    rows, columns = np.nonzero(blue[:, : page.shape[1] // 2])
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height / width == pytest.approx((BOTTOM - TOP) / (RIGHT - LEFT), rel=0.06)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tiles_point_to_what_was_drawn_at_another_site(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "histo_ray", "demo", "--small", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if "tiles: AUROC " in line)
    print(line)
    assert float(line.split("AUROC ")[1].split()[0]) > 0.9
    assert "External validation (synthetic" in done.stdout
    page = (out / "report-other-site.html").read_text(encoding="utf-8")
    assert "External validation" in page
    assert "SYNTHETIC" in page
    assert cv2.imread(str(out / "pictures" / "heatmap-and-truth.png")) is not None
