"""Torch reads a store: bags by index, tiles as a stream, through loaders with workers."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import histo_ray as hr
from histo_ray.api import torch_datasets
from histo_ray.api.feature_store import FeatureStore
from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.layout import Form
from histo_ray.store.slide_tiles import read_slide_tiles
from histo_ray.types import Outcome, RunRow
from tests.made_up import facts_of, rows_of

COUNTS = {"A": 30, "B": 7, "C": 12}
FORMS: dict[str, Form] = {"A": "parquet", "B": "zarr", "C": "parquet"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Three slides in both forms, one without tiles, and a patient whom a run table corrects."""
    made = hr.open_store(str(tmp_path_factory.mktemp("torch") / "store"), create=True)
    for number, (name, count) in enumerate(COUNTS.items()):
        facts = facts_of(name)
        made.commit(facts.key, facts, rows_of(count, seed=number), format=FORMS[name])
    facts = facts_of("empty", empty_reason="no tissue")
    made.commit(facts.key, facts, [])
    made.write_run("20260101T000000-1", [RunRow("B", "e", Outcome.SKIPPED, "", 7, 0.0, "P-A")])
    return made


def test_a_bag_is_a_slide_with_all_its_tiles(store: FeatureStore) -> None:
    bags: Any = store.to_torch("e")
    assert bags.names == list(COUNTS)
    assert bags.tiles == list(COUNTS.values())
    for number, name in enumerate(COUNTS):
        bag, own = bags[number], store.bag(name, "e")
        assert (bag["slide_id"], bag["patient_id"]) == (name, "P-C" if name == "C" else "P-A")
        assert bag["embeddings"].dtype == torch.float16
        assert np.array_equal(bag["embeddings"].numpy(), own.embeddings)
        assert np.array_equal(bag["coords"].numpy(), own.coords)
        assert bag["tile_id"].tolist() == list(range(COUNTS[name]))
        assert bag["tissue"].dtype == torch.float32


def test_a_bag_of_a_patient_has_the_tiles_of_all_slides(store: FeatureStore) -> None:
    bags: Any = store.to_torch("e", by="patient")
    assert bags.names == ["P-A", "P-C"]
    bag = bags[0]
    assert bag["slide_ids"] == ["A", "B"]
    assert bag["slide"].tolist() == [0] * 30 + [1] * 7
    own = np.concatenate([store.bag(name, "e").embeddings for name in "AB"])
    assert np.array_equal(bag["embeddings"].numpy(), own)


def test_a_condition_keeps_some_tiles_under_their_own_numbers(
    store: FeatureStore, caplog: pytest.LogCaptureFixture
) -> None:
    where = "tile_id in (0, 3, 9)"  # slide B has 7 tiles
    bags: Any = store.to_torch("e", where=where)
    assert (bags.names, bags.tiles) == (list(COUNTS), [3, 2, 3])
    for number, name in enumerate(COUNTS):
        own, kept = store.bag(name, "e"), [0, 3] if name == "B" else [0, 3, 9]
        assert bags[number]["tile_id"].tolist() == kept
        assert np.array_equal(bags[number]["embeddings"].numpy(), own.embeddings[kept])
        assert np.array_equal(bags[number]["coords"].numpy(), own.coords[kept])
    tiles: Any = store.to_torch("e", of="tiles", batch_size=2, seed=3, where=where)
    loader: Any = DataLoader(tiles, batch_size=None)
    assert len(list(loader)) == len(loader) == 5
    kept_of = {key: n for key, n in stored(store).items() if key[1] in (0, 3, 9)}
    assert seen(loader) == kept_of
    few: Any = store.to_torch("e", where="tile_id > 20")
    assert few.names == ["A"]
    assert [one.getMessage() for one in caplog.records] == [
        "no tile tile_id > 20, so slides are left out: B, C"
    ]
    with pytest.raises(ConfigError, match="where"):
        store.to_torch("e", where="tile_id >")


def test_slides_come_in_the_order_that_they_are_asked_for(store: FeatureStore) -> None:
    bags: Any = store.to_torch("e", slide_ids=["C", "empty", "A"])
    assert bags.names == ["C", "A"]


def seen(loader: Any) -> Counter[tuple[str, int, bytes]]:
    """Every tile with its vector, however the loader groups them."""
    return Counter(
        (name, int(tile), vector.numpy().tobytes())
        for batch in loader
        for name, tile, vector in zip(
            batch["slide_id"], batch["tile_id"], batch["embeddings"], strict=True
        )
    )


def stored(store: FeatureStore) -> Counter[tuple[str, int, bytes]]:
    return Counter(
        (name, tile, vector.tobytes())
        for name in COUNTS
        for tile, vector in enumerate(store.bag(name, "e").embeddings)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_every_tile_once(store: FeatureStore, workers: int) -> None:
    tiles: Any = store.to_torch("e", of="tiles", batch_size=5, seed=3)
    loader: Any = DataLoader(tiles, batch_size=None, num_workers=workers)
    assert len(loader) == sum(-(-count // 5) for count in COUNTS.values())
    assert seen(loader) == stored(store)
    singles: Any = store.to_torch("e", of="tiles")
    assert len(singles) == sum(COUNTS.values())
    assert seen(DataLoader(singles, batch_size=8, num_workers=workers)) == stored(store)


def test_workers_that_are_spawned_read_bags(store: FeatureStore) -> None:
    bags: Any = store.to_torch("e")
    loader: Any = DataLoader(bags, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert [bag["slide_id"] for bag in loader] == list(COUNTS)


def test_a_seed_and_an_epoch_decide_the_order(store: FeatureStore) -> None:
    def order(seed: int | None, epoch: int = 0) -> list[tuple[str, int]]:
        stream: Any = store.to_torch("e", of="tiles", seed=seed)
        stream.set_epoch(epoch)
        return [(tile["slide_id"], int(tile["tile_id"])) for tile in stream]

    plain = [(name, tile) for name, count in COUNTS.items() for tile in range(count)]
    assert order(None) == plain
    assert order(1) == order(1) != order(2)
    assert order(1) != order(1, epoch=1)
    assert sorted(order(1)) == plain


def test_tensors_share_the_memory_of_what_was_read(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []

    def read(*arguments: Any) -> Any:
        kept.append(read_slide_tiles(*arguments))
        return kept[-1]

    monkeypatch.setattr(torch_datasets, "read_slide_tiles", read)
    bags: Any = store.to_torch("e")
    for number in range(len(bags)):
        tensor = bags[number]["embeddings"]
        assert tensor.data_ptr() == kept[-1].embeddings.ctypes.data


@pytest.mark.gpu
def test_batches_go_into_pinned_memory(store: FeatureStore) -> None:
    tiles: Any = store.to_torch("e", of="tiles", batch_size=5)
    loader: Any = DataLoader(tiles, batch_size=None, num_workers=2, pin_memory=True)
    batches = list(loader)
    assert all(batch["embeddings"].is_pinned() for batch in batches)
    assert seen(batches) == stored(store)


def test_wrong_settings_are_refused_in_one_sentence(store: FeatureStore) -> None:
    for settings, word in [
        ({"of": "pixels"}, "of='pixels' must be"),
        ({"by": "site"}, "by='site' must be"),
        ({"of": "tiles", "by": "patient"}, "by='patient' must be"),
        ({"batch_size": 5}, "batch_size and seed are of tiles"),
        ({"of": "tiles", "batch_size": 0}, "batch_size=0 must be 1 or more"),
    ]:
        given: Any = settings
        with pytest.raises(ConfigError, match=word):
            store.to_torch("e", **given)
    with pytest.raises(StoreError, match="slide 'Z' of encoder e is not in the store"):
        store.to_torch("e", slide_ids=["Z"])


def test_a_damaged_bag_names_its_file(store: FeatureStore, tmp_path: Path) -> None:
    made = hr.open_store(str(tmp_path / "store"), create=True)
    facts = facts_of("A")
    made.commit(facts.key, facts, rows_of(3))
    bags: Any = made.to_torch("e")
    path = tmp_path / "store/embeddings/encoder=e/tiling=abc123/A.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"A\.parquet: not readable"):
        bags[0]
