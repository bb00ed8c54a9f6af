"""Labelled tile sets on a real local Ray."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histo_ray.cluster.run_extract import extract_tilesets
from histo_ray.config import TileSetConfig
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.errors import ConfigError
from histo_ray.extract import run
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.recorder import RunSummary
from histo_ray.extract.slide import encode_block
from histo_ray.store.store import open_store
from histo_ray.synth.tile_writer import CLASSES, write_demo_tiles
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.tileset import TileSet, load_tiles

pytestmark = pytest.mark.ray

ENCODERS = ("random:resnet10t?seed=0&px=64", "random:resnet10t?seed=1&px=64")
NAMES = tuple(f"random-resnet10t-px64-seed{k}" for k in (0, 1))

Make = Callable[..., TileSetConfig]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_tiles(tmp_path_factory.mktemp("tiles"), per_class=20, seed=2, tile_px=48)


@pytest.fixture(scope="module")
def make() -> Make:
    def config(store: Path, **changes: Any) -> TileSetConfig:
        settings: dict[str, Any] = {
            "encoder": ENCODERS, "batch_size": 16, "device": "cpu", "encoder_threads": 1,
        }  # fmt: skip
        return TileSetConfig(store=str(store), **(settings | changes))

    return config


@pytest.fixture(scope="module")
def first(
    shared_ray: None, table: Path, make: Make, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TileSetConfig, TileSet, TileSet, RunSummary]:
    """A run of three sets and two encoders: one with patients, one without, and one whose files
    change after it was read."""
    folder = tmp_path_factory.mktemp("sets")
    grouped = read_tileset(str(table), name="with-patients")
    bare = read_tileset(str(table.parent), name="bare")
    copy = write_demo_tiles(folder / "copy", per_class=4, seed=4, tile_px=48)
    torn = read_tileset(str(copy), name="torn")
    Image.new("RGB", (48, 48)).save(torn.paths[5])
    config = make(folder / "store")
    return config, grouped, bare, extract_tilesets(config, [grouped, torn, bare])


def test_every_set_and_encoder_is_stored_with_its_labels(
    first: tuple[TileSetConfig, TileSet, TileSet, RunSummary],
) -> None:
    config, grouped, bare, summary = first
    assert summary.outcomes == {"done": 4, "failed": 2}
    done = [row for row in summary.rows if row.outcome == "done"]
    assert {(row.slide_id, row.encoder, row.n_tiles) for row in done} == {
        (tiles.name, name, 80) for tiles in (grouped, bare) for name in NAMES
    }
    store = open_store(config.store)
    assert store.verify() == (4, [])
    for name in NAMES:
        bag = store.labelled("with-patients", name)
        assert bag.labels == grouped.label_names
        assert bag.groups == grouped.groups
        assert store.labelled("bare", name).groups is None
        assert np.array_equal(bag.embeddings, store.labelled("bare", name).embeddings)


def test_vectors_are_those_of_the_encoder_on_the_tiles_as_given(
    first: tuple[TileSetConfig, TileSet, TileSet, RunSummary],
) -> None:
    config, grouped, _, _ = first
    pixels = load_tiles(grouped, range(len(grouped)))
    for request, name in zip(ENCODERS, NAMES, strict=True):
        encoder = load_encoder(resolve(request, ()), device="cpu", threads=1)
        vectors, _ = encode_block(encoder, pixels, 16, "float16")
        stored = open_store(config.store).labelled("with-patients", name).embeddings
        assert np.array_equal(stored, vectors)


def test_receipts_say_what_the_set_was(
    first: tuple[TileSetConfig, TileSet, TileSet, RunSummary],
) -> None:
    config, grouped, _, _ = first
    store = open_store(config.store)
    receipt = next(r for key, r in store.receipts().items() if key.slide_id == "with-patients")
    assert receipt.slide.fingerprint == grouped.digest
    assert receipt.slide.mpp_source == "unknown"
    assert receipt.tiling.settings == {"tiles": "as given", "tile_px": 48, "mpp": 0.0}
    assert receipt.text_columns == ("label", "group")
    slides = store.slides()
    assert slides["n_tiles"].tolist() == [80] * 4
    counts = store.sql(
        "select slide_id, label, count(*) as n from embeddings "
        f"where encoder = '{NAMES[0]}' group by all order by all"
    ).df()
    assert counts["n"].tolist() == [20] * 2 * len(CLASSES)


def test_sets_in_one_process_give_the_same_bits_and_receipts(
    first: tuple[TileSetConfig, TileSet, TileSet, RunSummary], tmp_path: Path
) -> None:
    config, grouped, bare, _ = first
    here = config.model_copy(update={"store": str(tmp_path / "here"), "address": "none"})
    assert run.extract_tilesets(here, [grouped, bare], open_in_process).outcomes == {"done": 4}
    told = {"run_id", "created_at"}  # and all else is the same, digests of vectors and texts too
    alone, spread = (
        {key: r.model_dump(exclude=told) for key, r in open_store(c.store).receipts().items()}
        for c in (here, config)
    )
    assert alone == spread


def test_the_same_sets_again_are_skipped_without_starting_anything(
    first: tuple[TileSetConfig, TileSet, TileSet, RunSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, grouped, bare, _ = first

    def refuse(address: str) -> None:
        raise AssertionError("Ray was asked for")

    monkeypatch.setattr("histo_ray.cluster.run_extract.ray_session", refuse)
    assert extract_tilesets(config, [grouped, bare]).outcomes == {"skipped": 4}


@pytest.mark.slow
def test_a_set_that_changed_under_its_name_is_refused_with_a_remedy_or_replaced(
    shared_ray: None, table: Path, make: Make, tmp_path: Path
) -> None:
    config = make(tmp_path / "store", encoder=ENCODERS[:1])
    whole = read_tileset(str(table), name="train")
    extract_tilesets(config, [whole])
    rows = pd.read_csv(table)
    rows["path"] = [str(table.parent / path) for path in rows["path"]]
    rows.iloc[:-3].to_csv(tmp_path / "fewer.csv", index=False)
    fewer = read_tileset(str(tmp_path / "fewer.csv"), name="train")
    with pytest.raises(ConfigError, match=r"train .*another name, or --replace-changed"):
        extract_tilesets(config, [fewer])
    extract_tilesets(config.model_copy(update={"replace_changed": True}), [fewer])
    store = open_store(config.store)
    assert len(store.labelled("train", NAMES[0])) == 77
    assert store.verify() == (1, [])


def test_a_file_that_changes_during_the_run_costs_its_set_alone(
    first: tuple[TileSetConfig, TileSet, TileSet, RunSummary],
) -> None:
    config, grouped, bare, summary = first
    lost = [row for row in summary.rows if row.outcome != "done"]
    assert {(row.slide_id, row.outcome) for row in lost} == {("torn", "failed")}
    for row in lost:
        assert "has changed since the set was read: its pixels are others" in row.reason
    kept = {key.slide_id for key in open_store(config.store).list_keys()}
    assert kept == {grouped.name, bare.name}


@pytest.mark.slow
def test_zarr_holds_the_same(
    shared_ray: None,
    first: tuple[TileSetConfig, TileSet, TileSet, RunSummary],
    make: Make,
    tmp_path: Path,
) -> None:
    config, grouped, _, _ = first
    zarr = make(tmp_path / "store", format="zarr", encoder=ENCODERS[:1], mpp=1.0)
    extract_tilesets(zarr, [grouped])
    one, two = (open_store(c.store).labelled("with-patients", NAMES[0]) for c in (config, zarr))
    assert np.array_equal(one.embeddings, two.embeddings)
    assert (one.labels, one.groups) == (two.labels, two.groups)
    (receipt,) = open_store(zarr.store).receipts().values()
    assert (receipt.slide.mpp, receipt.slide.mpp_source) == ((1.0, 1.0), "flag")


def test_sets_that_do_not_go_together_are_refused(make: Make, table: Path, tmp_path: Path) -> None:
    small = read_tileset(str(table))
    other = read_tileset(
        str(write_demo_tiles(tmp_path / "big", per_class=2, tile_px=64)), name="big"
    )
    config = make(tmp_path / "store")
    with pytest.raises(ConfigError, match="tiles of 48 px and 64 px, and one run takes one size"):
        extract_tilesets(config, [small, other])
    with pytest.raises(ConfigError, match="2 tile sets are called tiles"):
        extract_tilesets(config, [small, small])
    with pytest.raises(ConfigError, match="no tile set is given"):
        extract_tilesets(config, [])
    with pytest.raises(ConfigError, match="for tiles of tile_px 256, not of tile_px 48"):
        extract_tilesets(make(tmp_path / "store", encoder=("uni",)), [small])
    assert not (tmp_path / "store").exists()


def test_real_tiles_of_nine_classes_go_through(make: Make, tmp_path: Path) -> None:
    place = os.environ.get("HISTO_RAY_TEST_DATA")
    if not place:
        pytest.skip("HISTO_RAY_TEST_DATA is unset: real tiles are not at hand")
    tiles = read_tileset(str(Path(place) / "tiles" / "nct9"))
    config = make(tmp_path / "store", encoder=ENCODERS[:1])
    assert run.extract_tilesets(config, [tiles], open_in_process).outcomes == {"done": 1}
    bag = open_store(str(tmp_path / "store")).labelled("nct9", NAMES[0])
    assert len(set(bag.labels)) == 9
    assert len(bag) == 58
