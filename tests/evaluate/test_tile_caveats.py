"""Caveats of encoders trained on the tiles they are evaluated on, and of synthetic tiles."""

from pathlib import Path

import pytest

import histo_ray as hr
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.evaluate.tiles.tile_caveats import find_synthetic_sets, find_trained_on
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.report.caveat_words import write_caveat
from histo_ray.report.record_words import describe_record
from histo_ray.synth.tile_writer import write_demo_tiles
from histo_ray.tilesets.read import read_tileset

BASE = "random:resnet10t?seed=0&px=64"


def test_an_encoder_that_was_trained_on_the_tiles_is_named(tmp_path: Path) -> None:
    learned, other = (write_demo_tiles(tmp_path / f"{n}", 10, seed=n) for n in (1, 2))
    store = str(tmp_path / "store")
    finetune(
        FinetuneConfig(
            tiles=str(learned), encoder=BASE, name="tuned", store=store,
            set=("network.epochs=0",), device="cpu",
        )
    )  # fmt: skip
    config = TissueConfig(tiles=str(learned), store=store, encoder=(BASE, "tuned"))
    sets = [read_tileset(str(table)) for table in (learned, other)]
    tiles, patients = find_trained_on(config, sets[:1])
    assert "that it was fine-tuned on" in write_caveat(tiles)
    assert write_caveat(patients).startswith("tuned was fine-tuned on tiles of 10 of 10 patients")
    (same_names,) = find_trained_on(config, sets[1:])  # drawn patients are called alike
    assert same_names.code is CaveatCode.LEAKED_PATIENTS


def test_tiles_that_their_table_marks_are_called_synthetic(tmp_path: Path) -> None:
    table = write_demo_tiles(tmp_path / "drawn", 6, tile_px=48)
    drawn = read_tileset(str(table))
    plain = tmp_path / "drawn" / "plain.csv"
    lines = table.read_text().splitlines()
    plain.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    unmarked = read_tileset(str(plain))
    assert drawn.digest == unmarked.digest  # a mark makes no other set of it
    (found,) = find_synthetic_sets([drawn, unmarked])
    assert write_caveat(found).startswith("SYNTHETIC data: the table of tiles marks its tiles so")


def test_one_network_under_two_names_is_told_and_its_difference_is_none(tmp_path: Path) -> None:
    table = write_demo_tiles(tmp_path / "tiles", 8, tile_px=48)
    result = hr.evaluate.tissue(
        tmp_path / "store", tiles=table, encoder=[BASE, f"{BASE}&name=twin"], folds=2, repeats=1,
        resamples=100, device="cpu",
    )  # fmt: skip
    (found,) = (one for one in result.record.caveats if one.code is CaveatCode.SAME_WEIGHTS)
    assert found.names("encoders") == ["random-resnet10t-px64-seed0", "twin"]
    assert found.values["same_vectors"] is True
    assert "nan" not in " ".join(describe_record(result.record))
    told = repr(result)
    assert told.startswith(f"<EvaluationResult tissue {result.record.run_id}; encoders random-")
    assert "classes; tiles: " in told
    assert len(told) < 400


def test_a_name_near_one_that_the_store_publishes_is_suggested(tmp_path: Path) -> None:
    tiles = write_demo_tiles(tmp_path / "tiles", 10, seed=1)
    store = str(tmp_path / "store")
    finetune(
        FinetuneConfig(
            tiles=str(tiles), encoder=BASE, name="demo-ftx", store=store,
            set=("network.epochs=0",), device="cpu",
        )
    )  # fmt: skip
    for asked, told in (
        ("demo-fx", r"did you mean demo-ftx\?$"),
        ("nothing-like", r"published into the store: demo-ftx; ours: "),
    ):
        with pytest.raises(ConfigError, match=told):
            hr.evaluate.tissue(store, tiles=tiles, encoder=asked)
