"""Later evaluations find what an encoder was fine-tuned on, tile by tile and patient by patient."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import histo_ray as hr
from histo_ray.encoders.published import read_card
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.evaluate.leaks import (
    TunedEncoder,
    check_patients,
    find_patient_leaks,
    open_tuned,
    refuse_leaks,
)
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.evaluate.tiles.tile_caveats import find_trained_on
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.store.location import location_of
from histo_ray.store.models import encode_card
from histo_ray.store.trained_on import TrainedOn, hash_patient, read_trained_on
from histo_ray.synth.tile_writer import write_demo_tiles
from histo_ray.tilesets.read import read_tileset

BASE = "random:resnet10t?seed=0&px=64"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A store with an encoder that was tuned on tiles, and their table."""
    folder = tmp_path_factory.mktemp("tuned")
    table = write_demo_tiles(folder / "tiles", 10, seed=1, tile_px=48)
    store = str(folder / "store")
    for base, name in ((BASE, "tuned"), ("tuned", "twice")):
        finetune(
            FinetuneConfig(
                tiles=str(table), encoder=base, name=name, store=store,
                set=("network.epochs=0", "held_out=0.2"), device="cpu",
            )
        )  # fmt: skip
    return store, table


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other tiles of patients of the same names."""
    return write_demo_tiles(tmp_path_factory.mktemp("outside") / "other", 8, seed=9, tile_px=48)


def trained_on(store: str, name: str = "tuned") -> TrainedOn:
    card = read_card(store, name)
    assert card is not None
    found = read_trained_on(location_of(store), card)
    assert found is not None
    return found


def test_the_card_covers_every_tile_and_patient_and_names_nobody(tuned: tuple[str, Path]) -> None:
    store, table = tuned
    tiles = read_tileset(str(table))
    found = trained_on(store)
    assert sorted(found.digests) == sorted(digest[:32] for digest in tiles.digests)
    assert tiles.groups is not None
    assert set(found.patients) == {hash_patient(group) for group in tiles.groups}
    assert 0 < found.held_out.sum() < len(tiles) / 2
    path = Path(store) / "models" / "tuned" / "trained_on.parquet"
    assert b"SYN-P" not in path.read_bytes()
    card = read_card(store, "tuned")
    assert card is not None
    assert card.data.trained_on_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    twice = trained_on(store, "twice")  # the base's tiles count, too
    assert len(twice.digests) == 2 * len(tiles)


def test_tiles_are_known_in_other_files_and_turned_and_other_ones_are_not(
    tuned: tuple[str, Path], outside: Path, tmp_path: Path
) -> None:
    store, table = tuned
    tiles = read_tileset(str(table))
    held = {d for d, h in zip(*_columns(trained_on(store)), strict=True) if h}
    row = next(r for r, d in enumerate(tiles.digests) if d[:32] not in held)
    pixels = np.asarray(Image.open(tiles.paths[row]))
    other = shutil.copytree(outside.parent, tmp_path / "other")
    (other / "tiles.csv").unlink()
    label = tiles.label_names[row]
    Image.fromarray(pixels).save(other / label / "again.tif")
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(other / label / "turned.png")
    sets = [read_tileset(str(other))]
    config = TissueConfig(tiles=str(other), store=store, encoder=(BASE, "tuned"))
    (found,) = find_trained_on(config, sets)
    assert found.code is CaveatCode.LEAKED_TILES
    assert (found.number("trained"), found.number("held_out"), found.number("near")) == (1, 0, 1)
    assert found.names("names") == ["again.tif", "turned.png"]
    with pytest.raises(ConfigError, match=r"tuned was fine-tuned on 1 tile of other \(again.tif"):
        refuse_leaks([found], allowed=False)
    refuse_leaks([found], allowed=True)


def test_a_tissue_evaluation_refuses_and_says_what_it_was_allowed(
    tuned: tuple[str, Path], tmp_path: Path
) -> None:
    store = shutil.copytree(tuned[0], tmp_path / "store")
    settings: dict[str, Any] = {
        "tiles": tuned[1], "encoder": "tuned", "folds": 2, "repeats": 1, "resamples": 100,
        "device": "cpu",
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"of 10 patients that are evaluated.*--allow-leak"):
        hr.evaluate.tissue(store, **settings)
    result = hr.evaluate.tissue(store, **settings, allow_leak=True)
    codes = {one.code for one in result.record.caveats}
    assert {CaveatCode.LEAKED_TILES, CaveatCode.LEAKED_PATIENTS} <= codes


def test_tiles_that_heads_are_trained_on_may_be_those_of_fine_tuning(
    tuned: tuple[str, Path], outside: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(tuned[0], tmp_path / "store")
    renamed = outside.with_name("renamed.csv")
    renamed.write_text(outside.read_text().replace("SYN-P", "OTHER-P"))
    result = hr.evaluate.tissue(
        store, tiles=tuned[1], test_tiles=renamed, encoder="tuned", folds=2, repeats=1,
        resamples=100, device="cpu",
    )  # fmt: skip
    found = [one for one in result.record.caveats if one.code is CaveatCode.LEAKED_TILES]
    assert [one.values["tiles"] for one in found] == ["tiles"]


def test_patients_are_known_under_the_barcode_of_a_sample_too(tuned: tuple[str, Path]) -> None:
    card = read_card(tuned[0], "tuned")
    assert card is not None
    known = TrainedOn(
        ("a" * 32,),
        np.ones(1, np.uint64),
        (hash_patient("TCGA-05-4244-01Z-00-DX1"),),
        np.zeros(1, bool),
    )
    encoder = TunedEncoder("tuned", card, known)
    (found,) = find_patient_leaks([encoder], ["TCGA-05-4244", "TCGA-05-4245"])
    assert found.names("names") == ["TCGA-05-4244"]
    assert list(find_patient_leaks([encoder], ["TCGA-05-4245"])) == []


def test_the_encoder_of_classes_is_looked_at_too(tuned: tuple[str, Path]) -> None:
    root = location_of(tuned[0])
    with pytest.raises(ConfigError, match=r"tuned was fine-tuned on tiles of 1 patient that is"):
        check_patients(root, {}, "tuned", ["SYN-P03", "OTHER"], allowed=False)
    (found,) = check_patients(root, {}, "tuned", ["SYN-P03", "OTHER"], allowed=True)
    assert found.names("names") == ["SYN-P03"]
    assert check_patients(root, {}, None, ["SYN-P03"], allowed=False) == []


def test_a_card_without_a_list_is_compared_as_a_whole_set(
    tuned: tuple[str, Path], outside: Path, tmp_path: Path
) -> None:
    store = str(shutil.copytree(tuned[0], tmp_path / "store"))
    card = read_card(store, "tuned")
    assert card is not None
    data = card.data.model_copy(update={"trained_on_sha256": None})
    old = card.model_copy(update={"data": data, "format_version": 2})
    (Path(store) / "models" / "tuned" / "model.json").write_bytes(encode_card(old))
    sets = [read_tileset(str(table)) for table in (tuned[1], outside)]
    config = TissueConfig(tiles=str(outside), store=store, encoder=("tuned",))
    codes = [one.code for one in find_trained_on(config, sets)]
    assert codes == [CaveatCode.TRAINED_ON_TILES, CaveatCode.TRAINED_ON_UNKNOWN]
    (found,) = check_patients(location_of(store), {}, "tuned", ["SYN-P03"], allowed=False)
    assert found.code is CaveatCode.TRAINED_ON_UNKNOWN


def test_a_damaged_list_is_an_error_and_not_an_empty_one(
    tuned: tuple[str, Path], tmp_path: Path
) -> None:
    store = str(shutil.copytree(tuned[0], tmp_path / "store"))
    path = Path(store) / "models" / "tuned" / "trained_on.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"trained_on\.parquet is not the file"):
        open_tuned(location_of(store), "tuned", "tuned")
    path.unlink()
    with pytest.raises(ConfigError, match=r"trained_on\.parquet is missing, though"):
        open_tuned(location_of(store), "tuned", "tuned")


def _columns(found: TrainedOn) -> tuple[tuple[str, ...], list[bool]]:
    return found.digests, found.held_out.tolist()
