"""Scores on a slide that is there, that is another one, and that is gone."""

import base64
import io
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from histo_ray.config import TilingConfig
from histo_ray.extract.slide import plan_slide
from histo_ray.learn.tiles.tile_contributions import TileScores
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.report.charts.colour_scale import fit_scale
from histo_ray.report.page_blocks import Photos, Text
from histo_ray.report.slides.heat_section import ShownHeatmap, ShownHeatmaps, write_heatmaps
from histo_ray.report.slides.score_pictures import choose_extremes, describe_heads, draw_scores
from histo_ray.report.slides.slide_pixels import read_slide_pixels
from histo_ray.slides.reader import open_slide
from histo_ray.store.partition import PartitionFacts
from histo_ray.types import Receipt, Slide

Describe = Callable[..., PartitionFacts]


@pytest.fixture(scope="module")
def planned(cohort: SimpleNamespace, make_facts: Describe) -> SimpleNamespace:
    """What a store says of a real file, without an extraction."""
    path = str(cohort.folder / "good-a.svs")
    with open_slide(path, slide_id="good-a") as opened:
        plan = plan_slide(opened, Slide("good-a", path, "P"), TilingConfig(tile_px=64))
    receipt = Receipt(
        format_version=1, slide=plan.slide, tiling=plan.tiling,
        encoder=make_facts("good-a").encoder, tile_count=len(plan.grid), empty_reason="",
        vectors_sha256="", columns_sha256="", library_version="", run_id="", created_at="",
    )  # fmt: skip
    return SimpleNamespace(receipt=receipt, coords=plan.grid.coords, path=path)


def record_of(planned: SimpleNamespace, **changes: object) -> ScoreRecord:
    receipt = planned.receipt
    given = {
        "kind": "scores", "slide_id": "good-a", "patient_id": "P", "encoder": "e",
        "weights_sha256": "", "tiling": "t", "side": receipt.tiling.side, "source": "run-1",
        "target": "TP53", "scale": "log-odds of TP53", "heads": 3, "poolings": ("mean",),
        "decision": 0.5, "predicted": 0.62, "neutral": -0.2, "tiles": receipt.tile_count,
        "patient_tiles": receipt.tile_count,
    }  # fmt: skip
    return ScoreRecord.model_validate(given | changes)


def scores_of(planned: SimpleNamespace) -> TileScores:
    count = len(planned.coords)
    score = np.linspace(-2, 2, count)
    return TileScores(score, np.full(count, 1 / count), score)


def test_tiles_are_read_as_they_were_extracted(planned: SimpleNamespace) -> None:
    coords = planned.coords
    found = read_slide_pixels(planned.receipt, coords, [0, len(coords) - 1])
    assert not found.problem
    height, width = found.overview.shape[:2]
    assert (width * found.downsample[0], height * found.downsample[1]) == pytest.approx((900, 620))
    assert sorted(found.tiles) == [0, len(coords) - 1]
    x, y = coords[-1].tolist()
    with open_slide(planned.path) as opened:
        plain = opened.read((x, y), 0, (64, 64))
    np.testing.assert_array_equal(found.tiles[len(coords) - 1], plain)


def test_a_slide_that_is_gone_or_another_one_is_named_and_still_drawn(
    planned: SimpleNamespace, cohort: SimpleNamespace
) -> None:
    scores, coords = scores_of(planned), planned.coords
    gone = read_slide_pixels(planned.receipt, coords, [0], Slide("good-a", "/no/where.svs", "P"))
    assert "/no/where.svs" in gone.problem
    other = Slide("good-a", str(cohort.folder / "good-b.svs"), "P")
    swapped = read_slide_pixels(planned.receipt, coords, [0], other)
    assert "another file than the one that was extracted" in swapped.problem
    for pixels in (gone, swapped):
        assert not pixels.tiles
        pictures = draw_scores(scores, coords, record_of(planned), pixels, 6)
        assert pictures.heatmap.shape[1] > 600
        assert pictures.weights is None


def test_high_tiles_are_red_low_ones_blue_about_the_average_patient(
    planned: SimpleNamespace,
) -> None:
    scores = scores_of(planned)
    scale = fit_scale(scores.score, -0.2)
    assert scale.centre == pytest.approx((scale.low + scale.high) / 2)
    low, middle, high = scale.colour([-9, -0.2, 9]).astype(int)
    assert low[2] > low[0] + 60
    assert high[0] > high[2] + 60
    assert np.ptp(middle) < 12  # grey


def test_the_highest_and_the_lowest_are_chosen_once() -> None:
    values = np.array([3.0, -1, 2, 2, 9])
    assert choose_extremes(values, 12) == ([4, 0], [1, 3])
    assert choose_extremes(values[:1], 12) == ([0], [])
    top, bottom = choose_extremes(np.arange(40.0), 13)
    assert len(top) == len(bottom) == 12  # whole rows
    assert top[0] == 39
    assert bottom[0] == 0


def test_attention_is_drawn_beside_scores_and_what_is_not_exact_is_said(
    planned: SimpleNamespace,
) -> None:
    scores, count = scores_of(planned), len(planned.coords)
    weight = np.linspace(1, 3, count)
    unequal = scores._replace(weight=weight / weight.sum())
    pixels = read_slide_pixels(planned.receipt, planned.coords, [])
    record = record_of(planned, poolings=("bags",), out_of_fold=True)
    assert draw_scores(unequal, planned.coords, record, pixels, 6).weights is not None
    assert "3 heads that did not see the patient (run-1, e)" in describe_heads(record)
    assert "patient P: 0.5 (probability 0.62)" in describe_heads(record)
    inexact = record_of(planned, poolings=("max",), exact=False)
    assert "pooling max: no exact shares" in describe_heads(inexact)


def test_pictures_are_the_same_bits_twice(planned: SimpleNamespace) -> None:
    pixels = read_slide_pixels(planned.receipt, planned.coords, [0, 1])
    one, two = (
        draw_scores(scores_of(planned), planned.coords, record_of(planned), pixels, 2)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.heatmap, two.heatmap)
    np.testing.assert_array_equal(one.sheet, two.sheet)


def test_the_page_holds_its_pictures_in_itself_and_stays_small(planned: SimpleNamespace) -> None:
    pixels = read_slide_pixels(planned.receipt, planned.coords, [0, 1])
    record = record_of(planned, out_of_fold=True)
    pictures = draw_scores(scores_of(planned), planned.coords, record, pixels, 2)
    shown = ShownHeatmap(record, pictures.heatmap, pictures.sheet)
    _, about, photos = write_heatmaps(ShownHeatmaps([shown, shown]), "gene")
    assert isinstance(about, Text)
    assert "by the heads that did not see the patient (3 heads, one a repeat" in about.text
    assert isinstance(photos, Photos)
    assert len(photos.photos) == 4
    assert all(one.source.startswith("data:image/webp;base64,") for one in photos.photos)
    assert sum(len(one.source) for one in photos.photos) < 400_000
    first = base64.b64decode(photos.photos[0].source.partition(",")[2])
    assert Image.open(io.BytesIO(first)).size == pictures.heatmap.shape[1::-1]
    _, why = write_heatmaps(ShownHeatmaps(problem="no slide"), "gene")
    assert why == Text("No heat map is shown: no slide.", "empty")
