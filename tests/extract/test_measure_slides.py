"""Measures beside partitions: written by extraction, added later, used by conditions."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import histo_ray as hr
from histo_ray.cli import main
from histo_ray.config import ExtractConfig
from histo_ray.extract.slide import keep_measures, open_manifest_slide, partition_facts, plan_slide
from histo_ray.pooling.feature_store import FeatureStore
from histo_ray.slides.manifest import read_manifest
from histo_ray.types import EncoderFacts, TileRows
from tests.made_up import facts_of

DIM = 5
NAMES = ("good-a", "good-b")


@pytest.fixture(scope="module")
def made(
    cohort: Any, make_config: Callable[..., ExtractConfig], tmp_path_factory: pytest.TempPathFactory
) -> FeatureStore:
    """Two slides of made-up vectors, measured as extraction does."""
    store = hr.open_store(str(tmp_path_factory.mktemp("measures") / "store"), create=True)
    config = make_config(Path(store.root.path))
    slides = {slide.slide_id: slide for slide in read_manifest(str(cohort.good))}
    encoder: EncoderFacts = facts_of(dim=DIM).encoder
    for name in NAMES:
        with open_manifest_slide(slides[name], None) as opened:
            plan = plan_slide(opened, slides[name], config.tiling)
        count = len(plan.grid)
        vectors = np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float16)
        facts = partition_facts(plan, encoder, "run")
        keep_measures(store.root, plan, replace=False)
        rows = TileRows(plan.grid.coords, plan.grid.tissue, np.ones(count, np.float32), vectors)
        store.commit(facts.key, facts, [rows])
    return store


def measures_of(store: FeatureStore, name: str) -> Path:
    (path,) = Path(store.root.path).glob(f"quality/*/{name}.parquet")
    return path


def test_what_is_added_later_is_what_extraction_writes(made: FeatureStore) -> None:
    before = pq.read_table(measures_of(made, "good-b"))
    bag = made.bag("good-b", "e")
    np.testing.assert_array_equal(np.stack([before["x"], before["y"]], axis=1), bag.coords)
    assert np.isfinite(before["fold"]).all()
    assert np.isnan(before["blur"]).all()
    measures_of(made, "good-b").unlink()
    with pytest.raises(
        hr.StoreError, match=r"1 slide of 2 .* value of ink \(good-b\).*store measure"
    ):
        made.matrix("e", where="ink < 0.1")
    found = hr.measure(made.root.path, threads=1)
    assert (found.done, found.there, found.problems) == (["good-b"], 1, [])
    after = pq.read_table(measures_of(made, "good-b"))
    assert after.drop("blur").equals(before.drop("blur"))
    assert len(made.matrix("e", where="ink < 0.1")) == 2
    assert not made.inspect().problems  # the tables are checked, too


def test_blur_takes_pixels_and_a_second_run_does_nothing(made: FeatureStore) -> None:
    with pytest.raises(hr.StoreError, match=r"store measure .* --pixels"):
        made.bag("good-a", "e", where="blur < 2")
    assert sorted(hr.measure(made.root.path, pixels=True).done) == [*NAMES]
    assert hr.measure(made.root.path).there == hr.measure(made.root.path, pixels=True).there == 2
    blur = pq.read_table(measures_of(made, "good-a"))["blur"].to_numpy()
    assert ((blur > 0.3) & (blur < 3)).all()
    middle = float(np.median(blur))
    kept = made.bag("good-a", "e", where=f"blur <= {middle:.4f}")
    whole = made.bag("good-a", "e")
    np.testing.assert_array_equal(
        kept.embeddings, whole.embeddings[blur <= np.float32(f"{middle:.4f}")]
    )


def test_measures_of_other_tiles_are_refused(made: FeatureStore, tmp_path: Path) -> None:
    path = measures_of(made, "good-a")
    kept = path.read_bytes()
    path.write_bytes(measures_of(made, "good-b").read_bytes())
    try:
        with pytest.raises(hr.StoreError, match=r"measured on other tiles .* --again"):
            made.bag("good-a", "e", where="fold < 2")
        path.write_bytes(kept[:-40] + b"0" * 20 + kept[-20:])
        with pytest.raises(hr.StoreError, match="is damaged"):
            made.bag("good-a", "e", where="fold < 2")
        assert any("quality/" in problem for problem in made.inspect().problems)
    finally:
        path.write_bytes(kept)


def test_damage_costs_one_slide_and_measuring_mends_its_table(made: FeatureStore) -> None:
    path = measures_of(made, "good-a")
    (partition,) = Path(made.root.path).glob("embeddings/*/*/good-b.parquet")
    kept, whole = path.read_bytes(), partition.read_bytes()
    try:
        path.write_bytes(kept[:300])
        with pytest.raises(hr.StoreError, match=r"store measure .* makes it again, with --pixels"):
            made.bag("good-a", "e", where="fold < 2")
        partition.write_bytes(whole[:1000])
        found = hr.measure(made.root.path, pixels=True)
        assert found.done == ["good-a"]
        assert "good-b" in "".join(found.problems)
        assert pq.read_table(path).equals(pq.read_table(io.BytesIO(kept)))
    finally:
        path.write_bytes(kept)
        partition.write_bytes(whole)


def test_a_slide_that_is_another_is_a_line_and_the_others_are_measured(
    made: FeatureStore, cohort: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "moved.csv"
    manifest.write_text(f"slide_id,path\ngood-a,{cohort.folder / 'good-c.svs'}\n")
    code = main(
        ["store", "measure", made.root.path, "--again", "--manifest", str(manifest), "--json"]
    )
    said = json.loads(capsys.readouterr().out)
    assert code == 1
    assert said["done"] == ["good-b"]
    assert "another file" in said["problems"][0]


def test_where_counts_and_draws_what_is_dropped(
    made: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = made.bag("good-a", "e").coords
    half = int(np.median(whole[:, 0]))
    given = ["store", "where", made.root.path, f"x > {half}", "--encoder", "e"]
    assert main([*given, "--pictures", str(tmp_path / "p")]) == 0
    told = capsys.readouterr().out
    assert f"x > {half}: " in told
    found = hr.show_where(made.root.path, f"x>{half}", encoder="e", slide_ids=["good-a"])
    (row,) = found.slides.to_dict("records")
    assert (row["tiles"], row["kept"]) == (len(whole), int((whole[:, 0] > half).sum()))
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["good-a.png", "good-b.png"]
    assert main([*given[:3], "fcous > 1", *given[4:]]) == 2
    assert "did you mean focus?" in capsys.readouterr().err
