"""Tiles that a condition drops leave no trace: results are those of a store that never had them.

The dropped tiles are poison: nan in one half of them, huge values in the other.
"""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
from histo_ray.pooling.registry import POOLINGS
from histo_ray.types import TileRows
from tests.made_up import draw_tiles, facts_of
from tests.predict.external_store import write_labels
from tests.predict.made_predictor import DIM, make_bags

COUNT = 20
PEOPLE = tuple(f"A{at:02d}" for at in range(COUNT))
OTHERS = tuple(f"B{at:02d}" for at in range(5))
WHERE = "focus > 20"
QUICK: dict[str, Any] = {"folds": 2, "repeats": 1, "inner_folds": 2, "resamples": 100}


def write_store(folder: Path, people: Sequence[str], bags: list[Any], poison: bool) -> str:
    """A slide a patient; with poison, blurred tiles among the others, first and last ones too."""
    store = hr.open_store(str(folder), create=True)
    for at, (patient, bag) in enumerate(zip(people, bags, strict=True)):
        rng = np.random.default_rng(at)
        sharp = np.ones(len(bag), bool)
        if poison:
            sharp = np.zeros(len(bag) + 7, bool)
            sharp[1 + np.sort(rng.permutation(len(sharp) - 2)[: len(bag)])] = True
        vectors = np.full((len(sharp), DIM), np.nan, np.float16)
        vectors[::2] = 6e4
        vectors[sharp] = bag
        coords = np.zeros((len(sharp), 2), np.int32)
        coords[sharp] = np.arange(2 * len(bag)).reshape(-1, 2)
        focus = np.where(sharp, 50, 5).astype(np.float32)
        tissue = np.full(len(sharp), 0.5, np.float32)
        tissue[sharp] = np.linspace(0.2, 1, len(bag))
        facts = facts_of(f"{patient}-0", "sharp", "t1", DIM, patient_id=patient)
        form = "zarr" if at % 5 == 0 else "parquet"
        store.commit(facts.key, facts, [TileRows(coords, tissue, focus, vectors)], format=form)  # type: ignore[arg-type]
    if poison:  # of this slide no tile is left
        facts = facts_of("blurred", "sharp", "t1", DIM, patient_id="BLURRED")
        zeros = np.zeros(4, np.float32)
        rows = TileRows(
            np.zeros((4, 2), np.int32), zeros, zeros, np.full((4, DIM), np.nan, np.float16)
        )
        store.commit(facts.key, facts, [rows])
    return str(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Stores with and without the tiles that are dropped, of two cohorts."""
    folder = tmp_path_factory.mktemp("where")
    bags = [bag[: 5 + at % 4] for at, bag in enumerate(make_bags(COUNT, seed=3))]
    others = make_bags(len(OTHERS), seed=9)
    made = SimpleNamespace(labels=write_labels(folder / "labels.csv", PEOPLE, bags))
    for name, poison in (("whole", True), ("clean", False)):
        setattr(made, name, write_store(folder / name, PEOPLE, bags, poison))
        setattr(made, f"other_{name}", write_store(folder / f"o-{name}", OTHERS, others, poison))
    return made


def run(made: SimpleNamespace, store: str, **settings: Any) -> Any:
    given = {**QUICK, "labels": made.labels, "encoder": "sharp", **settings}
    return hr.evaluate.mutation(store, **given)


def test_every_pooling_is_that_of_a_store_without_the_dropped_tiles(made: SimpleNamespace) -> None:
    whole, clean = hr.open_store(made.whole), hr.open_store(made.clean)
    for kind in POOLINGS:
        if kind.needs_head:
            continue
        found = whole.matrix("sharp", kind.usage, by="patient", where=WHERE)
        pd.testing.assert_frame_equal(found, clean.matrix("sharp", kind.usage, by="patient"))
        assert found.attrs["filtered_slides"] == ["blurred"]
        assert found.attrs["empty_slides"] == []
    again = whole.matrix("sharp", "max", where="FOCUS>20")  # another spelling, the same cache
    assert again.attrs["receipt"]["where"] == WHERE
    assert not np.isfinite(whole.matrix("sharp", "max").to_numpy()).any()


def test_bags_are_those_of_a_store_without_the_dropped_tiles(made: SimpleNamespace) -> None:
    whole, clean = hr.open_store(made.whole), hr.open_store(made.clean)
    for patient in PEOPLE[:6]:
        one, other = (
            whole.bag(f"{patient}-0", "sharp", where=WHERE),
            clean.bag(f"{patient}-0", "sharp"),
        )
        np.testing.assert_array_equal(one.coords, other.coords)
        np.testing.assert_array_equal(one.embeddings, other.embeddings)
        drawn = whole.patient_bag(patient, "sharp", most=4, seed=7, where=WHERE)
        np.testing.assert_array_equal(drawn, clean.patient_bag(patient, "sharp", most=4, seed=7))
    assert len(whole.bag("blurred", "sharp", where=WHERE)) == 0
    with pytest.raises(hr.StoreError, match="no tiles focus > 20"):
        whole.patient_bag("BLURRED", "sharp", where=WHERE)


def test_an_evaluation_is_that_of_a_store_without_the_dropped_tiles(made: SimpleNamespace) -> None:
    heads = {"head": ("logistic", "mil"), "mil": ("epochs=2", "members=1")}
    found, clean = run(made, made.whole, where=WHERE, **heads), run(made, made.clean, **heads)
    pd.testing.assert_frame_equal(found.predictions, clean.predictions)
    pd.testing.assert_frame_equal(found.targets, clean.targets)
    assert found.record.run_id != clean.record.run_id
    assert clean.record.where is None
    kept = found.record.where.encoders["sharp"]
    assert (found.record.where.text, kept.tiles - kept.kept) == (WHERE, 7 * COUNT + 4)
    assert kept.emptied == ("blurred",)
    (told,) = (one for one in found.record.caveats if one.code == "tiles dropped")
    assert (told.number("emptied"), told.names("names")) == (1, ["blurred"])
    assert found.record.cohort.slides_filtered == 1
    lost = pd.read_parquet(Path(made.whole) / found.folder / "cohort.parquet")
    reasons = dict(zip(lost["patient_id"], lost["reason"], strict=True))
    assert reasons["BLURRED"].startswith("no tile is kept by --where")


def test_without_a_condition_a_run_has_the_name_that_it_had(made: SimpleNamespace) -> None:
    names = [run(made, made.clean, head="logistic", **one).record.run_id
             for one in ({}, {"where": None}, {"where": "focus > 10"})]  # fmt: skip
    assert names[0] == names[1] != names[2]


def test_a_predictor_applies_its_condition_elsewhere(made: SimpleNamespace) -> None:
    given = {**QUICK, "labels": made.labels, "encoder": "sharp", "head": "logistic"}
    fitted = hr.fit.mutation(made.whole, name="sharp-tiles", where=WHERE, **given)
    clean = hr.fit.mutation(made.clean, name="all-tiles", **given)
    assert (fitted.card.where, clean.card.where) == (WHERE, "")
    assert "where" not in clean.card.model_dump()
    found = fitted.predict(made.other_whole, tiles=True)
    plain = clean.predict(made.other_clean, tiles=True)
    columns = ["target", "patient_id", "raw", "calibrated", "n_tiles", "outside"]
    pd.testing.assert_frame_equal(found.patients[columns], plain.patients[columns])
    scores = ["slide_id", "x", "y", "score", "contribution", "outside"]
    pd.testing.assert_frame_equal(found.tiles[scores], plain.tiles[scores])
    assert found.tiles["tile_id"].max() > plain.tiles["tile_id"].max()  # the ids of the store
    assert (found.record.where, found.record.filtered_slides) == (WHERE, ("blurred",))
    assert any("fitted so" in note and "35 of" in note for note in found.record.notes)
    with pytest.raises(hr.ConfigError, match="fitted on tiles with focus > 20"):
        fitted.predict(made.other_whole, where="focus > 10")
    asked = clean.predict(made.other_whole, where=WHERE)
    pd.testing.assert_frame_equal(asked.patients[columns], plain.patients[columns])
    assert asked.record.run_id != clean.predict(made.other_clean).record.run_id


def test_a_heat_map_shows_the_tiles_that_are_kept(made: SimpleNamespace) -> None:
    whole = run(made, made.whole, head="logistic", where=WHERE)
    clean = run(made, made.clean, head="logistic")
    slide = f"{PEOPLE[3]}-0"
    asked: dict[str, Any] = {"slide": slide, "target": "ALPHA"}
    found = hr.heatmap(made.whole, run=whole.record.run_id, **asked)
    plain = hr.heatmap(made.clean, run=clean.record.run_id, **asked)
    scores = ["x", "y", "score", "weight", "contribution"]
    pd.testing.assert_frame_equal(found.tiles[scores], plain.tiles[scores])
    assert found.records[0].where == WHERE
    bag = hr.open_store(made.whole).bag(slide, "sharp")
    ids = found.tiles["tile_id"].to_numpy()
    np.testing.assert_array_equal(bag.coords[ids], found.tiles[["x", "y"]].to_numpy())
    with pytest.raises(hr.ConfigError, match="was made of tiles with focus > 20"):
        hr.heatmap(made.whole, run=whole.record.run_id, where="focus > 30", **asked)


def test_slides_that_nobody_measured_are_named(made: SimpleNamespace) -> None:
    with pytest.raises(
        hr.StoreError, match=r"21 slides of 21 .* without a value of ink .*store measure"
    ):
        run(made, made.whole, where="ink < 0.1")
    with pytest.raises(
        hr.ConfigError, match=r"where = focs > 1: tiles have no column focs.*mean focus"
    ):
        run(made, made.whole, where="focs > 1")
    with pytest.raises(hr.ConfigError, match=r"'focus > 1e9': no tile of the 21 slides of .*sharp"):
        run(made, made.whole, where="focus > 1e9")
    matrix = hr.open_store(made.whole).matrix(
        "sharp", where="focus > 20 and (ink < 0.1 or ink is null)"
    )
    assert len(matrix) == COUNT


def test_labelled_tiles_that_are_dropped_are_in_no_fold(tmp_path: Path) -> None:
    """The same folder without the blurred tiles gives the same tables but for the tile_ids."""
    whole = draw_tiles(tmp_path / "whole" / "tiles", 7, seed=0)
    clean = draw_tiles(tmp_path / "clean" / "tiles", 7, seed=0)
    for at, path in enumerate(sorted(whole.rglob("*.png"))):
        if at % 7 in (0, 4):
            sharp = np.asarray(cv2.imread(str(path)))
            cv2.imwrite(str(path), cv2.GaussianBlur(sharp, (0, 0), 4))
            (clean / path.parent.name / path.name).unlink()
    given: dict[str, Any] = {
        "encoder": "random:resnet10t?seed=0&px=64", "folds": 2, "repeats": 2, "resamples": 100,
        "device": "cpu", "groups": "none", "address": "none",
    }  # fmt: skip
    found: Any = hr.evaluate.tissue(
        tmp_path / "whole" / "store", tiles=whole, where="focus > 100", **given
    )
    plain: Any = hr.evaluate.tissue(tmp_path / "clean" / "store", tiles=clean, **given)
    assert (len(plain.predictions), found.record.where.encoders["tiles"].tiles) == (60, 21)
    same = [name for name in plain.predictions if name != "tile_id"]
    pd.testing.assert_frame_equal(found.predictions[same], plain.predictions[same])
    assert set(found.predictions["tile_id"]) == set(range(21)) - {0, 4, 7, 11, 14, 18}
    assert found.record.summary == plain.record.summary
    with pytest.raises(hr.StoreError, match="tile sets have no slide"):
        hr.evaluate.tissue(tmp_path / "whole" / "store", tiles=whole, where="ink < 1", **given)
    with pytest.raises(hr.ConfigError, match=r"keeps no tile|no tile of class"):
        hr.evaluate.tissue(tmp_path / "whole" / "store", tiles=whole, where="focus > 1e9", **given)
