"""Tissue evaluations with given, inferred, chosen and no groups, each beside colour alone."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

import histo_ray as hr
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.cohort.folds import draw_folds
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.evaluate.evaluation_record import TissueRecord
from histo_ray.learn.tiles.tile_heads import (
    EmbeddedTiles,
    TileHeadSettings,
    predict_tile_fold,
    start_tile_head,
)
from histo_ray.report.record_words import describe_record
from histo_ray.store.store import open_store
from tests.tilesets.made_up_slides import draw_slides

BASE = "random:resnet10t?seed=0&px=64"
ENCODER = "random-resnet10t-px64-seed0"
SLIDES = 6


def write_tables(folder: Path) -> None:
    """Tiles of six slides in a table with patients, and one without but with their slides."""
    made = draw_slides(SLIDES, 2, 5, seed=3, px=48)
    rows = []
    for number, (pixels, label, slide) in enumerate(zip(*made, strict=True)):
        name = f"{number:03}.png"
        Image.fromarray(pixels).save(folder / name)
        rows.append((name, "ab"[label], f"P{slide}"))
    for stem, column in (("patients", "group"), ("unknown", "slide")):
        with (folder / f"{stem}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("path", "label", column), *rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tiles")
    write_tables(made)
    return made


def evaluate(folder: Path, stem: str, **changes: Any) -> EvaluationResult:
    settings: dict[str, Any] = {
        "tiles": folder / f"{stem}.csv", "encoder": BASE, "folds": 3, "repeats": 2,
        "resamples": 100, "device": "cpu",
    }  # fmt: skip
    return hr.evaluate.tissue(folder / "store", **settings | changes)


def record_of(result: EvaluationResult) -> TissueRecord:
    assert isinstance(result.record, TissueRecord)
    return result.record


@pytest.fixture(scope="module")
def inferred(folder: Path) -> EvaluationResult:
    return evaluate(folder, "unknown")


def test_folds_of_inferred_groups_lead_and_random_ones_stand_beside_them(
    inferred: EvaluationResult,
) -> None:
    record = record_of(inferred)
    assert list(record.summary) == ["cv", "random"]
    assert record.groups.source == "inferred"
    assert record.groups.groups >= 5
    assert record.groups.settings["version"] == 1
    folds = inferred.folds
    assert folds.groupby(["repeat", "group"])["fold"].nunique().max() == 1
    first = folds[folds["repeat"] == 0].assign(tile=lambda frame: frame["item"].astype(int))
    for label in range(2):  # rows are sorted by class; of each slide a class has five tiles
        own = first[first["tile"] // 30 == label]
        assert adjusted_rand_score(own["tile"] % 30 // 5, own["group"]) > 0.8
    assert set(inferred.scores["split"]) == {"cv", "random"}
    told = "\n".join(describe_record(record))
    assert told.index("inferred groups kept together") < told.index("for comparison only")
    random, grouped = (record.summary[split][ENCODER].accuracy for split in ("random", "cv"))
    assert f"random folds promise {_short(random)} where grouped give {_short(grouped)}" in told


def test_colour_alone_is_a_row_of_every_split_and_a_baseline_of_comparisons(
    inferred: EvaluationResult,
) -> None:
    record = record_of(inferred)
    for split in ("cv", "random"):
        assert list(record.summary[split]) == [ENCODER, "colour"]
        rows = [row for row in record.comparisons if row.split == split]
        assert {(row.encoder_a, row.encoder_b) for row in rows} == {("colour", ENCODER)}
        assert list(record.colour_auroc[split]) == ["a", "b"]
    assert list(record.encoders) == [ENCODER]  # it has no embeddings in the store
    assert set(inferred.predictions["encoder"]) == {ENCODER, "colour"}


def test_given_patients_are_kept_together_and_predictions_are_those_of_before(
    folder: Path,
) -> None:
    result = evaluate(folder, "patients")
    record = record_of(result)
    assert (record.groups.source, record.groups.groups) == ("given", SLIDES)
    assert list(record.summary) == ["cv"]
    assert not {one.code for one in record.caveats} & {
        CaveatCode.GROUPS_INFERRED,
        CaveatCode.NO_GROUPS,
    }
    bag = open_store(str(folder / "store")).labelled("patients", ENCODER)
    assert bag.groups is not None
    folds = draw_folds(bag.labels, 3, 2, 0, bag.groups)
    labels = np.unique(np.array(bag.labels), return_inverse=True)[1].astype(np.int32)
    tiles, settings = EmbeddedTiles(bag.embeddings, labels, 2), TileHeadSettings("logistic")
    frame = result.predictions
    for repeat, fold_ids in enumerate(folds.fold_ids):
        score = start_tile_head(tiles, fold_ids, settings)
        for fold in range(3):
            found = predict_tile_fold(tiles, fold_ids, fold, settings, score)
            own = frame[
                (frame["encoder"] == ENCODER)
                & (frame["repeat"] == repeat)
                & (frame["fold"] == fold)
            ]
            assert own["tile_id"].tolist() == np.flatnonzero(fold_ids == fold).tolist()
            np.testing.assert_array_equal(own["confidence"], found.confidence)


def test_a_column_can_be_named_and_groups_can_be_left_out(folder: Path) -> None:
    by_slide = record_of(evaluate(folder, "unknown", groups="slide"))
    assert (by_slide.groups.source, by_slide.groups.column) == ("column", "slide")
    assert by_slide.groups.groups == SLIDES
    without = record_of(evaluate(folder, "unknown", groups="none"))
    assert (without.groups.source, list(without.summary)) == ("none", ["cv"])
    assert CaveatCode.NO_GROUPS in {one.code for one in without.caveats}
    assert len({by_slide.run_id, without.run_id}) == 2
    with pytest.raises(ConfigError, match=r"--groups slid: .* did you mean slide\?"):
        evaluate(folder, "unknown", groups="slid")


def test_groups_that_cannot_fill_the_folds_are_left_out_unless_asked_for(folder: Path) -> None:
    table = folder / "twins.csv"  # two pictures of each class, each four times: two groups
    frame = pd.read_csv(folder / "unknown.csv")
    first = frame.groupby("label").head(2)
    rows = []
    for _, row in first.iterrows():
        pixels = np.asarray(Image.open(folder / row["path"]))
        for turn in range(4):
            name = f"twin-{turn}-{row['path']}"
            Image.fromarray(np.ascontiguousarray(np.rot90(pixels, turn))).save(folder / name)
            rows.append((name, row["label"]))
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(table, index=False)
    record = record_of(evaluate(folder, "twins"))
    assert list(record.summary) == ["cv"]
    (found,) = (one for one in record.caveats if one.code is CaveatCode.INFERRED_TOO_FEW)
    assert found.number("groups") < found.number("folds") == 3
    with pytest.raises(ConfigError, match="too few groups of a in"):
        evaluate(folder, "twins", groups="inferred")


def test_no_encoder_may_be_called_colour(folder: Path) -> None:
    with pytest.raises(ConfigError, match="encoder colour: this name belongs to the row"):
        evaluate(folder, "unknown", encoder=f"{BASE}&name=colour")


def _short(score: float) -> str:
    return f"{score:.2f}".removeprefix("0")
