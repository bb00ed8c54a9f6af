"""Heat maps from a run or a predictor: files, what they say, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import histo_ray as hr
from histo_ray.cli.main import main
from histo_ray.errors import ConfigError, StoreError
from histo_ray.schema import arrow_schema, column_names
from histo_ray.store.store import open_store
from histo_ray.tiles.masks import read_mask
from histo_ray.types import TileRows
from testing.foreign_files import draw_slide, write_trident
from tests.cluster.patients import DIM, PATIENTS, TILES, write_labels, write_store
from tests.made_up import facts_of

SLIDE, SECOND = f"{PATIENTS[10]}-01Z-00-DX1", f"{PATIENTS[10]}-01Z-00-DX2"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A store with an evaluation and a predictor of mutations; its slides' files do not exist."""
    folder = tmp_path_factory.mktemp("fitted")
    store = write_store(folder)
    write_labels(folder)
    (folder / "genes.txt").write_text("TP53\nKRAS\n")
    predictor = hr.fit.mutation(
        store, name="made", labels=folder / "mutations.csv", encoder="sharp", folds=3, repeats=2,
        resamples=100, genes=folder / "genes.txt",
    )  # fmt: skip
    run = predictor.card.evaluation.run_id
    return SimpleNamespace(store=store, run=run, folder=folder, card=predictor.card)


def test_the_command_writes_a_table_pictures_and_geojson_even_without_the_slide(
    fitted: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    command = ["heatmap", fitted.store, "--run", fitted.run, "--target", "TP53"]
    command += ["--slide", SLIDE, "--slide", SECOND, "--out", str(out)]
    assert main(command) == 1  # tables and pictures are there, but no slide in these
    told = capsys.readouterr()
    assert f"not in the pictures: {SLIDE}: /slides/{SLIDE}.svs" in told.err
    assert "TP53 on" in told.out
    assert "2 heads that did not see the patient" in told.out
    names = {path.name for path in out.iterdir()}
    suffixes = (".parquet", ".png", ".tiles.png", ".geojson")
    assert names == {f"{slide}.TP53{end}" for slide in (SLIDE, SECOND) for end in suffixes}
    tables = [pq.read_table(out / f"{slide}.TP53.parquet") for slide in (SLIDE, SECOND)]
    records = [json.loads(table.schema.metadata[b"histo_ray"]) for table in tables]
    assert [table.schema.names for table in tables] == [column_names("tile_scores")] * 2
    assert tables[0].schema.equals(arrow_schema("tile_scores"))
    both = np.concatenate([table["contribution"].to_numpy() for table in tables])
    assert len(both) == 2 * TILES == records[0]["patient_tiles"]
    assert both.mean() == pytest.approx(records[0]["decision"], abs=1e-5)
    for table in tables:  # as schemas/tile_scores.json says of contributions; pooling mean
        product = table["score"].to_numpy() * table["weight"].to_numpy() * len(both)
        np.testing.assert_allclose(table["contribution"].to_numpy(), product, rtol=1e-9)
        np.testing.assert_allclose(table["contribution"].to_numpy(), table["score"], rtol=1e-9)
    assert records[0]["out_of_fold"]
    assert records[0]["exact"]
    assert records[0]["slides"] == [SLIDE, SECOND]
    with Image.open(out / f"{SLIDE}.TP53.png") as picture:
        assert picture.size[0] > 400
    assert main(command) == 1
    assert "8 files there already and left as they are" in capsys.readouterr().out


def test_qupath_and_our_own_mask_reader_read_the_geojson(
    fitted: SimpleNamespace, tmp_path: Path
) -> None:
    result = hr.heatmap(fitted.store, run=fitted.run, target="TP53", slide=SLIDE, out=tmp_path)
    path = tmp_path / f"{SLIDE}.TP53.geojson"
    features = json.loads(path.read_text())["features"]
    assert len(features) == TILES
    tiles = result.tiles
    for feature, score, x, y in zip(features, tiles["score"], tiles["x"], tiles["y"], strict=True):
        about = feature["properties"]
        assert about["objectType"] == "tile"
        assert about["measurements"]["TP53 score"] == pytest.approx(score, rel=1e-5)
        assert about["classification"]["name"] in ("TP53 low", "TP53 middle", "TP53 high")
        assert len(about["classification"]["color"]) == len(about["color"]) == 3
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1] == [x, y]
        assert ring[2] == [x + 448, y + 431]
    mask, _ = read_mask(str(path), (1200, 700), SLIDE)
    part, _ = read_mask(str(path), (1200, 700), SLIDE, ("tp53 high", "TP53 low", "TP53 middle"))
    assert mask.pixels.any()
    assert part.pixels.any()
    assert (part.pixels == mask.pixels).all()


def test_a_predictor_shows_its_own_patients_by_out_of_fold_heads_alone(
    fitted: SimpleNamespace, tmp_path: Path
) -> None:
    mine = hr.heatmap(fitted.store, predictor="made", target="TP53", slide=SLIDE)
    theirs = hr.heatmap(fitted.store, run=fitted.run, target="TP53", slide=SLIDE)
    assert mine.records == theirs.records
    assert mine.tiles.equals(theirs.tiles)
    assert mine.records[0].out_of_fold
    moved = tmp_path / "store"
    shutil.copytree(fitted.store, moved)
    shutil.rmtree(moved / "evaluations")
    with pytest.raises(StoreError, match=r"was fitted on this patient, so only out-of-fold heads"):
        hr.heatmap(moved, predictor="made", target="TP53", slide=SLIDE)


def test_a_patient_that_a_predictor_was_fitted_on_is_known_under_another_name(
    fitted: SimpleNamespace, tmp_path: Path
) -> None:
    bag = open_store(fitted.store).bag(SLIDE, "sharp")
    other = open_store(str(tmp_path / "other"), create=True)
    for slide, vectors in (("S1", bag.embeddings), ("S2", bag.embeddings[::-1])):
        facts = facts_of(slide, "sharp", "t0", DIM, patient_id=f"P-{slide}")
        ones = np.ones(len(vectors), np.float32)
        other.commit(facts.key, facts, [TileRows(bag.coords, ones, ones, vectors)])
    folder = str(Path(fitted.store) / "predictors/made")
    with pytest.raises(ConfigError, match=r"P-S1: predictor made was fitted on this patient's"):
        hr.heatmap(other.root.path, predictor=folder, target="TP53", slide="S1")
    (shown,) = hr.heatmap(other.root.path, predictor=folder, target="TP53", slide="S2").records
    assert not shown.out_of_fold


def test_a_predictor_shows_other_patients_by_its_own_heads(
    fitted: SimpleNamespace, tmp_path: Path
) -> None:
    folder = str(Path(fitted.store) / "predictors/made")
    other = open_store(str(tmp_path / "other"), create=True)
    random = np.random.default_rng(5)
    bags = [random.normal(size=(count, DIM)).astype(np.float16) for count in (4, 7)]
    for number, vectors in enumerate(bags):
        facts = facts_of(f"B{number}", "sharp", "t0", DIM, patient_id="PB")
        coords = np.arange(2 * len(vectors), dtype=np.int32).reshape(-1, 2)
        ones = np.ones(len(vectors), np.float32)
        other.commit(facts.key, facts, [TileRows(coords, ones, ones, vectors)])
    result = hr.heatmap(other.root.path, predictor=folder, target="TP53", slide=["B1", "B0"])
    (first, second) = result.records
    assert (first.slide_id, second.slide_id) == ("B0", "B1")
    assert not first.out_of_fold
    assert (first.source, first.heads, first.patient_tiles) == ("made", 1, 11)
    pooled = np.concatenate(bags).astype(np.float64).mean(0)[None].astype(np.float32)
    fitted_heads = hr.load_predictor(folder).fitted
    at = fitted_heads.card.target_names.index("TP53")
    predicted = fitted_heads.predict({"mean": pooled})[0, at]
    assert first.predicted == pytest.approx(predicted, abs=1e-6)
    assert result.tiles["contribution"].mean() == pytest.approx(first.decision, abs=1e-9)
    with pytest.raises(ConfigError, match=r"--target EGFR: predictor made does not predict it"):
        hr.heatmap(other.root.path, predictor=folder, target="EGFR", slide="B1")


def test_what_cannot_be_shown_is_refused_with_what_can(
    fitted: SimpleNamespace, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"run": fitted.run, "target": "TP53", "slide": SLIDE}
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"run": "mutation-0123456789ab"}, StoreError, f"there are {fitted.run}"),
        ({"target": "TP54"}, ConfigError, "--target TP54: not in run .*did you mean TP53"),
        ({"target": ()}, ConfigError, "--target is missing: .* has KRAS, TP53|TP53, KRAS"),
        ({"slide": "nobody"}, ConfigError, "--slide nobody: not among the slides"),
        ({"encoder": "dull"}, ConfigError, "--encoder dull: not in run"),
        ({"run": None}, ConfigError, "run: needed, or predictor"),
        ({"predictor": "made"}, ConfigError, "give one of them"),
        ({"labels": str(fitted.folder / "no.csv")}, ConfigError, "no.csv"),
    ]
    for change, error, match in cases:
        with pytest.raises(error, match=match):
            hr.heatmap(fitted.store, **(given | change))
    hr.heatmap(fitted.store, out=tmp_path, **given)
    path = tmp_path / f"{SLIDE}.TP53.parquet"
    shutil.copy(path, tmp_path / f"{SECOND}.TP53.parquet")
    with pytest.raises(ConfigError, match="is there already with those of"):
        hr.heatmap(fitted.store, out=tmp_path, **(given | {"slide": SECOND}))
    hr.heatmap(fitted.store, out=tmp_path, overwrite=True, **(given | {"slide": SECOND}))


def test_labels_are_found_from_any_folder_or_asked_for(
    fitted: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    shutil.copytree(fitted.store, store)
    monkeypatch.chdir(fitted.folder)
    given: dict[str, Any] = {"labels": "mutations.csv", "encoder": "sharp", "folds": 3, "seed": 5}
    run = hr.evaluate.mutation(store, repeats=1, resamples=100, **given).record.run_id
    fit = hr.fit.mutation(store, name="there", repeats=1, resamples=100, **given)
    assert fit.card.evaluation.run_id == run  # which names its labels as seen from that folder
    monkeypatch.chdir(tmp_path)
    found = hr.heatmap(store, predictor="there", target="TP53", slide=SLIDE)
    assert found.records[0].out_of_fold
    with pytest.raises(ConfigError, match=r"label file mutations.csv is not there, .*--labels"):
        hr.heatmap(store, run=run, target="TP53", slide=SLIDE)


def test_labels_that_changed_since_are_found(fitted: SimpleNamespace, tmp_path: Path) -> None:
    text = (fitted.folder / "mutations.csv").read_text().splitlines()
    name, *values = text[7].split(",")
    text[7] = ",".join([name, str(1 - int(values[0])), *values[1:]])
    changed = tmp_path / "mutations.csv"
    changed.write_text("\n".join(text) + "\n")
    with pytest.raises(StoreError, match=r"not those that it was made from \(labels, .*evaluate"):
        hr.heatmap(fitted.store, run=fitted.run, target="TP53", slide=SLIDE, labels=changed)


def test_the_report_says_why_it_shows_no_slide(fitted: SimpleNamespace, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["report", fitted.store, "--out", str(page)]) == 0
    text = page.read_text()
    assert "Where on the slide it comes from" in text
    assert "the slides are not where they were extracted from" in text
    assert main(["report", fitted.store, "--out", str(page), "--no-heatmaps"]) == 0
    assert "Where on the slide" not in page.read_text()


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Features of TRIDENT without slide files, an evaluation of them, and its predictor."""
    folder = tmp_path_factory.mktemp("imported")
    names = [f"S{number:02d}" for number in range(24)]
    for number, name in enumerate(names):
        slide = draw_slide(name, 9)
        vectors = slide.vectors + np.float32(3 * (number % 2))
        write_trident(
            folder / "job", replace(slide, vectors=vectors), level0_width=None, level0_height=None
        )
    store = str(folder / "store")
    hr.import_features(folder / "job", store, encoder="uni", weights_sha256="a" * 64)
    rows = [f"{name},{number % 2}" for number, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["patient_id,TP53", *rows]) + "\n")
    hr.fit.mutation(
        store, name="made", labels=folder / "labels.csv", encoder="uni", folds=3, repeats=2,
        resamples=100,
    )  # fmt: skip
    return SimpleNamespace(store=store, folder=folder)


def test_slides_that_were_imported_without_files_are_shown_without_pictures_of_them(
    imported: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["heatmap", imported.store, "--predictor", "made", "--target", "TP53"]
    assert main([*command, "--slide", "S05", "--out", str(tmp_path)]) == 1
    assert "not in the pictures: S05: nobody said where its file is" in capsys.readouterr().err
    suffixes = (".parquet", ".png", ".tiles.png", ".geojson")
    assert {path.name for path in tmp_path.iterdir()} == {f"S05.TP53{end}" for end in suffixes}
    assert pq.read_table(tmp_path / "S05.TP53.parquet").num_rows == 9
    assert len(json.loads((tmp_path / "S05.TP53.geojson").read_text())["features"]) == 9
    with Image.open(tmp_path / "S05.TP53.png") as picture:
        coloured = np.ptp(np.asarray(picture.convert("RGB")).astype(int), axis=2) > 60
    assert coloured[50:-60].sum() > 2000  # tiles, not the colour bar alone


def test_a_slide_that_a_manifest_finds_is_in_the_pictures_of_imported_features(
    imported: SimpleNamespace, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1700, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "S05.png")
    (tmp_path / "slides.csv").write_text("slide_id,path,mpp\nS05,S05.png,0.25\n")
    result = hr.heatmap(
        imported.store, predictor="made", target="TP53", slide="S05", out=tmp_path / "maps",
        manifest=tmp_path / "slides.csv",
    )  # fmt: skip
    assert result.problems == []
    assert len(result.written) == 4


def test_nothing_is_written_where_one_of_several_cannot_be_shown(
    imported: SimpleNamespace, tmp_path: Path
) -> None:
    out, given = tmp_path / "maps", {"predictor": "made", "slide": ("S05", "S06")}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"target": "TP53", "slide": ("S05", "NOPE")}, "--slide NOPE: not among the slides"),
        ({"target": ("TP53", "TP54")}, "--target TP54: not in run"),
    ]
    for change, match in cases:
        with pytest.raises(ConfigError, match=match):
            hr.heatmap(imported.store, out=out, **(given | change))
        assert not out.exists()
