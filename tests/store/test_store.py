import dataclasses
import json
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling import matrix
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.schema import column_names
from histo_ray.store.location import Location
from histo_ray.store.partition import join_rows
from histo_ray.store.store import Store, open_store, peek_store
from histo_ray.types import Outcome, PartitionKey, RunRow, TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
COUNTS = {"S1": 90, "S2": 7, "S3": 0, "S4": 41}
PATIENTS = {"S1": "PA", "S2": "PB", "S3": "PB", "S4": "PA"}


@pytest.fixture
def filled(store: Store, make_facts: MakeFacts, make_rows: MakeRows) -> Store:
    """Four slides of two patients, one without tissue, one as Zarr; a second encoder of one."""
    for number, (slide_id, count) in enumerate(COUNTS.items()):
        reason = "" if count else "no tissue"
        facts = make_facts(slide_id, patient_id=PATIENTS[slide_id], empty_reason=reason)
        rows = make_rows(count, seed=number)
        store.commit(facts.key, facts, rows, format="zarr" if slide_id == "S4" else "parquet")
    facts = make_facts("S1", "wide", dim=9, dtype="float32")
    store.commit(facts.key, facts, make_rows(90, 9, "float32"))
    return store


def vectors_of(make_rows: MakeRows, *slides: str) -> Any:
    seeds = {slide_id: number for number, slide_id in enumerate(COUNTS)}
    blocks = [rows for s in slides for rows in make_rows(COUNTS[s], seed=seeds[s])]
    return join_rows(blocks).embeddings.astype(np.float64)


def test_a_place_without_a_store_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no feature store \(no store\.json in it\); check"):
        open_store(str(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()
    assert peek_store(str(tmp_path / "nothing")) is None


def test_a_folder_with_other_things_does_not_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match=r"other things \(thesis\.tex\); choose an empty or a new"):
        open_store(str(tmp_path), create=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format_version": 5}', "format version 5, and this histo-ray reads up to 4; upgrade"),
        ("{}", "states no format version"),
        ("]", "states no format version"),
    ],
)
def test_a_newer_or_broken_store_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "store.json").write_text(text)
    for create in (True, False):
        with pytest.raises(StoreError, match=message):
            open_store(str(tmp_path), create=create)


def test_creating_twice_keeps_the_first(tmp_path: Path) -> None:
    open_store(str(tmp_path), create=True)
    first = (tmp_path / "store.json").read_text()
    open_store(str(tmp_path), create=True)
    assert (tmp_path / "store.json").read_text() == first
    assert json.loads(first)["format_version"] == 1


def test_a_receipt_that_older_programs_take_for_damage_raises_the_version(
    tmp_path: Path, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    store = open_store(str(tmp_path / "s"), create=True)
    plain = make_facts("S1")
    assert store.commit(plain.key, plain, make_rows(3)).format_version == 1
    before = json.loads((tmp_path / "s/store.json").read_text())
    slide = make_facts("S2").slide.model_copy(update={"tissue_share": 0.25})
    newer = replace(make_facts("S2"), slide=slide)
    assert store.commit(newer.key, newer, make_rows(3)).format_version == 2
    after = json.loads((tmp_path / "s/store.json").read_text())
    assert (before["format_version"], after["format_version"]) == (1, 2)
    assert after["created_at"] == before["created_at"]
    copy = open_store(str(tmp_path / "copy"), create=True)
    store.convert("zarr", copy).check()
    assert json.loads((tmp_path / "copy/store.json").read_text())["format_version"] == 2
    assert store.verify() == (2, []) == copy.verify()


def test_keys_are_listed_by_encoder_and_tiling(filled: Store) -> None:
    assert len(filled.list_keys()) == 5
    assert filled.list_keys("wide") == {PartitionKey("wide", "abc123", "S1")}
    assert len(filled.list_keys("e", "abc123")) == 4
    assert filled.list_keys("e", "zzz") == filled.list_keys("../..") == set()
    assert filled.exists(PartitionKey("e", "abc123", "S4"))
    assert not filled.exists(PartitionKey("wide", "abc123", "S4"))


def test_many_partitions_are_listed_quickly(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store/embeddings/encoder=e/tiling=t"
    folder.mkdir(parents=True)
    for number in range(20_000):
        (folder / f"S{number}.parquet").touch()
    began = time.process_time()  # not the clock: others may be at work on this machine
    assert len(store.list_keys()) == 20_000
    assert time.process_time() - began < 3


def test_receipts_are_read_by_key(filled: Store) -> None:
    receipts = filled.receipts()
    assert {
        key.slide_id: r.tile_count for key, r in receipts.items() if key.encoder == "e"
    } == COUNTS
    key = PartitionKey("e", "abc123", "S2")
    assert filled.receipts([key]) == {key: filled.read_receipt(key)}
    with pytest.raises(StoreError, match="slide 'S9' of encoder e"):
        filled.receipts([key, PartitionKey("e", "abc123", "S9")])


def test_slides_tells_what_the_schema_says(filled: Store, store: Store) -> None:
    slides = filled.slides()
    assert list(slides.columns) == column_names("slides")
    row = slides[(slides.slide_id == "S4")].iloc[0]
    assert (row["format"], row["n_tiles"], row["width"], row["height"]) == ("zarr", 41, 1200, 700)
    assert (row["mpp_x"], row["mpp_y"], row["patient_id"]) == (0.25, 0.26, "PA")


def test_an_empty_store_has_an_empty_table(store: Store) -> None:
    slides = store.slides()
    assert list(slides.columns) == column_names("slides")
    assert len(slides) == 0


def test_a_bag_is_the_slide(filled: Store, make_rows: MakeRows) -> None:
    bag = filled.bag("S1", encoder="wide")
    whole = join_rows(list(make_rows(90, 9, "float32")))
    np.testing.assert_array_equal(bag.embeddings, whole.embeddings)
    np.testing.assert_array_equal(bag.coords, whole.coords)
    assert (bag.slide_id, len(bag)) == ("S1", 90)


@pytest.mark.parametrize("encoder", ["random:e?seed=0", "e@mpp=2", "e?px=96"])
def test_a_request_in_place_of_a_stored_name_says_which_names_are_meant(
    filled: Store, encoder: str
) -> None:
    with pytest.raises(StoreError, match="stored as histo-ray store ls does: encoders e, wide"):
        filled.bag("S1", encoder)


@pytest.mark.parametrize(
    ("slide_id", "encoder", "tiling", "there"),
    [
        ("S9", "e", None, "slides S1, S2, S3, S4"),
        ("S1", "other", None, "encoders e, wide"),
        ("S1", "../e", None, "encoders e, wide"),
        ("S1", "e", "fff", "tilings abc123"),
    ],
)
def test_an_unknown_bag_says_what_is_there(
    filled: Store, slide_id: str, encoder: str, tiling: str | None, there: str
) -> None:
    with pytest.raises(StoreError, match=f"is not in the store, which holds {there}"):
        filled.bag(slide_id, encoder, tiling)


def test_a_slide_in_two_tilings_must_be_named(
    filled: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts("S1", tiling="other")
    filled.commit(facts.key, facts, make_rows(3))
    for ask in (lambda: filled.bag("S1", "e"), lambda: pool_matrix(filled, "e")):
        with pytest.raises(StoreError, match=r"in several tilings; .* abc123 \(.*, other \("):
            ask()
    assert len(filled.bag("S1", "e", tiling="other")) == 3
    assert len(filled.bag("S2", "e")) == 7


def test_the_matrix_pools_each_slide(filled: Store, make_rows: MakeRows) -> None:
    frame = pool_matrix(filled, "e")
    assert list(frame.index) == ["S1", "S2", "S4"]
    assert frame.index.name == "slide_id"
    assert frame.attrs["empty_slides"] == ["S3"]
    assert set(frame.dtypes) == {np.dtype(np.float32)}
    np.testing.assert_allclose(frame.loc["S2"], vectors_of(make_rows, "S2").mean(0), rtol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "std", "mean+std", "max", "median"])
def test_a_patient_is_all_tiles_of_all_slides(
    filled: Store, make_rows: MakeRows, pool: Any
) -> None:
    frame = pool_matrix(filled, "e", pool=pool, by="patient")
    assert (list(frame.index), frame.index.name) == (["PA", "PB"], "patient_id")
    tiles = vectors_of(make_rows, "S1", "S4")
    plain = {"mean": tiles.mean(0), "std": tiles.std(0), "max": tiles.max(0)}
    plain |= {"median": np.median(tiles, 0), "mean+std": np.append(tiles.mean(0), tiles.std(0))}
    np.testing.assert_allclose(frame.loc["PA"], plain[pool], rtol=1e-5, atol=1e-6)


def test_the_matrix_is_cached_until_the_vectors_change(
    filled: Store, make_facts: MakeFacts, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pool_matrix(filled, "e")
    with monkeypatch.context() as patched:
        patched.delattr(matrix, "_pool_groups")
        again = pool_matrix(filled, "e")
    assert again.equals(first)
    assert again.attrs == first.attrs
    facts = make_facts("S2", patient_id="PB")
    filled.commit(facts.key, facts, make_rows(7, seed=99), replace=True)
    changed = pool_matrix(filled, "e")
    assert (changed.loc["S2"] != first.loc["S2"]).all()
    assert (changed.loc["S1"] == first.loc["S1"]).all()


def test_a_damaged_cache_is_made_again(filled: Store, tmp_path: Path) -> None:
    first = pool_matrix(filled, "e")
    (cached,) = (tmp_path / "store/cache/matrix").iterdir()
    cached.write_bytes(b"PAR1 nonsense")
    assert pool_matrix(filled, "e").equals(first)


def test_a_store_of_empty_slides_has_an_empty_matrix(store: Store, make_facts: MakeFacts) -> None:
    facts = make_facts(empty_reason="no tissue")
    store.commit(facts.key, facts, [])
    pools: list[Any] = ["mean", "median", "mean+std"]
    for pool in pools:
        frame = pool_matrix(store, "e", pool=pool)
        assert frame.shape == (0, 10 if pool == "mean+std" else 5)
        assert frame.attrs["empty_slides"] == ["S1"]


def test_other_ways_of_pooling_are_refused(filled: Store) -> None:
    with pytest.raises(ConfigError, match="pool='sum'"):
        pool_matrix(filled, "e", pool="sum")
    with pytest.raises(ConfigError, match=r"by='site': .* pooled by slide or by patient"):
        pool_matrix(filled, "e", by="site")  # type: ignore[arg-type]


def test_a_name_is_bound_to_its_weights(filled: Store, make_facts: MakeFacts) -> None:
    filled.check_encoder(make_facts().encoder)
    filled.check_encoder(make_facts(encoder="new", weights="c" * 64).encoder)
    with pytest.raises(
        StoreError, match=f"e: the store has it with weights_sha256 {'a' * 64}, now c+; .*name="
    ):
        filled.check_encoder(make_facts(weights="c" * 64).encoder)
    with pytest.raises(StoreError, match="dtype float16, now float32"):
        filled.check_encoder(make_facts(dtype="float32").encoder)
    with pytest.raises(StoreError, match="input_px 224, now 256"):
        filled.check_encoder(make_facts(input_px=256).encoder)


def test_tiles_that_are_cut_are_not_mixed_with_tiles_that_were_squeezed(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    """An encoder may be given `resize_px` after tiles were stored without."""

    def facts_of(encoder: str, tile_px: int) -> Any:
        facts = make_facts("S1", encoder)
        tiling = facts.tiling.model_copy(update={"settings": {"tile_px": tile_px}})
        return dataclasses.replace(facts, tiling=tiling)

    for encoder, tile_px in {"whole": 224, "squeezed": 256}.items():
        facts = facts_of(encoder, tile_px)
        store.commit(facts.key, facts, make_rows(9))
    now = make_facts().encoder.model_copy(update={"resize_px": 256})
    store.check_encoder(now.model_copy(update={"name": "whole"}))  # never resized, so never cut
    with pytest.raises(StoreError, match=r"squeezed: .*resize_px None, now 256.*name="):
        store.check_encoder(now.model_copy(update={"name": "squeezed"}))


def test_a_matrix_of_mixed_weights_is_refused(
    filled: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts("S2", weights="b" * 64)
    filled.commit(facts.key, facts, make_rows(7), replace=True)
    with pytest.raises(StoreError, match=r"aaaaaaaaaaaa \(5\) and bbbbbbbbbbbb \(5\)"):
        pool_matrix(filled, "e")


def test_a_key_that_is_not_of_the_facts_is_a_bug(store: Store, make_facts: MakeFacts) -> None:
    with pytest.raises(ValueError, match="is not that of the facts, PartitionKey"):
        store.commit(PartitionKey("e", "abc123", "S2"), make_facts(), [])


def test_a_run_can_be_written_anew(store: Store) -> None:
    row = RunRow("S1", "e", Outcome.FAILED, "truncated", 0, 0.25)
    for rows in ([row], [row, RunRow("S2", "e", Outcome.DONE, "", 4, 1.5)]):
        store.write_run("run1", rows)
        assert store.sql("from runs").fetchall() == [
            (
                "run1",
                *dataclasses.astuple(r)[:-2],
            )  # no row states a manifest's columns, or its tiling
            for r in rows
        ]


def test_a_store_travels_between_processes(filled: Store) -> None:
    assert pickle.loads(pickle.dumps(filled)).list_keys() == filled.list_keys()


def test_a_conversion_there_and_back_changes_no_byte(filled: Store, caplog: Any) -> None:
    before, receipts = filled.slides(), filled.receipts()
    bag = filled.bag("S1", "e")
    assert filled.convert(to="zarr").check() == 4
    assert set(filled.slides()["format"]) == {"zarr"}
    assert filled.verify() == (5, [])
    assert filled.bag("S1", "e").embeddings.tobytes() == bag.embeddings.tobytes()
    assert filled.convert(to="parquet").check() == 5
    assert filled.convert(to="parquet").check() == 0
    assert filled.receipts() == receipts
    assert filled.bag("S1", "e").embeddings.tobytes() == bag.embeddings.tobytes()
    assert len(before) == len(filled.slides())
    assert filled.verify() == (5, [])


def test_a_conversion_into_another_store_keeps_the_first(filled: Store, tmp_path: Path) -> None:
    other = open_store(str(tmp_path / "other"), create=True)
    assert filled.convert(to="zarr", target=other).check() == 5
    assert filled.convert(to="zarr", target=other).check() == 0
    assert other.receipts() == filled.receipts()
    assert other.verify() == filled.verify() == (5, [])


def test_a_damaged_partition_is_not_converted(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "store/embeddings/encoder=wide/tiling=abc123/S1.parquet"
    data = bytearray(path.read_bytes())
    at = data.index(filled.bag("S1", "wide").embeddings[3].tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="rows differ from the receipt"):
        filled.convert(to="zarr").check()
    assert PartitionKey("wide", "abc123", "S1") in filled.list_keys()
    assert path.read_bytes() == data


def test_gc_removes_what_is_old_and_only_that(filled: Store, tmp_path: Path) -> None:
    import os

    root = tmp_path / "store"
    pool_matrix(filled, "e")
    (root / ".staging/crashed").mkdir(parents=True)
    (root / ".staging/crashed/part").write_text("x")
    half = root / "embeddings/encoder=e/tiling=abc123/S8.zarr"
    half.mkdir()
    (half / "x").write_text("y")
    assert filled.gc() == []
    (cached,) = (root / "cache/matrix").iterdir()
    for path in (
        cached,
        half / "x",
        half,
        root / ".staging/crashed/part",
        root / ".staging/crashed",
    ):
        os.utime(path, (0, 0))
    assert ".staging/crashed: left by a crashed run" in "\n".join(filled.verify()[1])
    gone = {
        ".staging/crashed",
        "embeddings/encoder=e/tiling=abc123/S8.zarr",
        f"cache/matrix/{cached.name}",
    }
    assert set(filled.gc(dry_run=True)) == gone
    assert cached.exists()
    assert set(filled.gc()) == gone
    assert not cached.exists()
    assert not half.exists()
    assert filled.verify() == (5, [])


def test_empty_slides_are_announced(filled: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pool_matrix(filled, "e")
    assert "without tiles are left out: S3" in caplog.text


def test_a_place_knows_files_from_folders(tmp_path: Path, filled: Store) -> None:
    root: Location = filled._root
    assert root.kind() == "folder"
    assert root.child("store.json").kind() == "file"
    assert root.child("nothing").kind() == ""
    assert root.child("nothing").names() == root.child("nothing").walk() == []
