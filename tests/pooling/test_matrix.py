import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling import matrix
from histo_ray.pooling.feature_store import FeatureStore
from histo_ray.store.partition import join_rows
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.types import PartitionKey, TileRows
from tests.made_up import card_of

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
COUNTS = {"S1": 900, "S2": 7, "S3": 0, "S4": 410}
PATIENTS = {"S1": "PA", "S2": "PB", "S3": "PB", "S4": "PA"}
CLASSES = ("ADI", "STR", "TUM")
DIMS = {"e": 5, "ft": 9}
WEIGHTS = {"e": "a" * 64, "ft": "b" * 64}
ROOT = "store"


@pytest.fixture
def filled(
    store: FeatureStore, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> FeatureStore:
    """Four slides of two patients by two encoders, `ft` with a head; S4 as Zarr in one of them."""
    for encoder in DIMS:
        for slide_id in COUNTS:
            add(store, make_facts, make_rows, slide_id, encoder)
    write_model(tmp_path / ROOT, "ft")
    return store


def add(
    store: FeatureStore,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    slide: str,
    encoder: str,
    **about: Any,
) -> None:
    count = about.pop("count", COUNTS[slide])
    about = {"weights": WEIGHTS[encoder], "patient_id": PATIENTS[slide]} | about
    about["empty_reason"] = "" if count else "no tissue"
    facts = make_facts(slide, encoder, dim=DIMS[encoder], **about)
    form = "zarr" if (slide, encoder) == ("S4", "e") else "parquet"
    rows = (
        rows_in(make_rows, slide, encoder)
        if count == COUNTS[slide]
        else make_rows(count, DIMS[encoder])
    )
    store.commit(facts.key, facts, rows, format=form, replace=True)  # type: ignore[arg-type]


def rows_in(make_rows: MakeRows, slide: str, encoder: str) -> Iterator[TileRows]:
    """Each encoder's own vectors at the same places."""
    seed = list(COUNTS).index(slide)
    places = make_rows(COUNTS[slide], seed=seed)
    vectors = make_rows(COUNTS[slide], DIMS[encoder], seed=seed + 10 * DIMS[encoder])
    for place, rows in zip(places, vectors, strict=True):
        yield TileRows(place.coords, place.tissue, place.focus, rows.embeddings)


def all_of(make_rows: MakeRows, encoder: str, *slides: str) -> Any:
    return join_rows([rows for slide in slides for rows in rows_in(make_rows, slide, encoder)])


def write_model(root: Path, name: str, bias: float = 0.0, **card: Any) -> None:
    random = np.random.default_rng(8)
    weight = random.standard_normal((3, DIMS["ft"])).astype(np.float32)
    shift = np.array([0.5, -0.25, bias], np.float32)
    data = save(
        {
            "classification_head.weight": weight,
            "classification_head.bias": shift,
            "stem.weight": np.ones((2, 3), np.float32),
        }
    )
    folder = root / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(data)
    about = {"file_sha256": hashlib.sha256(data).hexdigest(), "weights_sha256": WEIGHTS["ft"]}
    said = card_of(name, **({"classes": CLASSES} | about | card))
    (folder / "model.json").write_text(json.dumps(said))


def chances(make_rows: MakeRows, *slides: str, bias: float = 0.0) -> Any:
    """(N, K) in float64, the plain way."""
    weight = np.random.default_rng(8).standard_normal((3, DIMS["ft"])).astype(np.float32)
    vectors = all_of(make_rows, "ft", *slides).embeddings.astype(np.float64)
    powers = np.exp(vectors @ weight.T.astype(np.float64) + [0.5, -0.25, bias])
    return powers / powers.sum(axis=1, keepdims=True)


def test_quantiles_lie_side_by_side(filled: FeatureStore, make_rows: MakeRows) -> None:
    frame = filled.matrix("e", "quantiles", by="patient")
    tiles = all_of(make_rows, "e", "S1", "S4").embeddings.astype(np.float64)
    plain = np.quantile(tiles, [0.1, 0.5, 0.9], axis=0).reshape(-1)
    np.testing.assert_allclose(frame.loc["PA"], plain, rtol=1e-6, atol=1e-7)


def test_tissue_weighs_tiles(filled: FeatureStore, make_rows: MakeRows) -> None:
    rows = all_of(make_rows, "e", "S1", "S4")
    plain = np.average(rows.embeddings.astype(np.float64), axis=0, weights=rows.tissue)
    frame = filled.matrix("e", "tissue", by="patient")
    np.testing.assert_allclose(frame.loc["PA"], plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("encoder", ["e", "ft"])
@pytest.mark.parametrize(("pool", "columns"), [("class:TUM", [2]), ("class:TUM,ADI", [0, 2])])
def test_classes_of_a_head_weigh_tiles_of_either_encoder(
    filled: FeatureStore, make_rows: MakeRows, encoder: str, pool: str, columns: list[int]
) -> None:
    frame = filled.matrix(encoder, pool, by="patient", class_encoder="ft")
    tiles = all_of(make_rows, encoder, "S1", "S4").embeddings.astype(np.float64)
    weights = chances(make_rows, "S1", "S4")[:, columns].sum(axis=1)
    plain = np.average(tiles, axis=0, weights=weights)
    np.testing.assert_allclose(frame.loc["PA"], plain, rtol=1e-4, atol=1e-6)
    if encoder == "ft":
        assert frame.equals(filled.matrix(encoder, pool, by="patient"))


def test_one_mean_a_class_lies_side_by_side(filled: FeatureStore, make_rows: MakeRows) -> None:
    frame = filled.matrix("e", "classes", class_encoder="ft")
    assert list(frame.index) == ["S1", "S2", "S4"]
    tiles = all_of(make_rows, "e", "S4").embeddings.astype(np.float64)
    plain = [np.average(tiles, axis=0, weights=w) for w in chances(make_rows, "S4").T]
    np.testing.assert_allclose(frame.loc["S4"], np.concatenate(plain), rtol=1e-4, atol=1e-6)


def test_who_has_nothing_of_a_class_is_left_out_and_named(
    filled: FeatureStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(tmp_path / ROOT, "ft", bias=-8)
    with caplog.at_level(logging.WARNING):
        frame = filled.matrix("e", "class:TUM", by="patient", class_encoder="ft")
    assert (list(frame.index), frame.attrs["left_out"]) == (["PA"], ["PB"])
    assert "patients without any weight are left out: PB" in caplog.text
    again = filled.matrix("e", "class:TUM", by="patient", class_encoder="ft")
    assert again.attrs == frame.attrs


def test_a_class_that_is_not_there_gets_the_mean_of_all_tiles(
    filled: FeatureStore, make_rows: MakeRows, tmp_path: Path
) -> None:
    write_model(tmp_path / ROOT, "ft", bias=-8)
    frame = filled.matrix("e", "classes", by="patient", class_encoder="ft")
    assert frame.attrs["absent_classes"] == {"TUM": ["PB"]}
    assert frame.attrs["left_out"] == []
    tiles = all_of(make_rows, "e", "S2").embeddings.astype(np.float64)
    np.testing.assert_allclose(frame.loc["PB"][10:], tiles.mean(axis=0), rtol=1e-4, atol=1e-6)
    tum = filled.matrix("e", "class:TUM", by="patient", class_encoder="ft")
    np.testing.assert_allclose(frame.loc["PA"][10:], tum.loc["PA"], rtol=1e-6)


def test_slides_that_the_class_encoder_lacks_are_left_out_and_named(
    filled: FeatureStore, make_rows: MakeRows, tmp_path: Path
) -> None:
    for slide in ("S2", "S4"):
        (tmp_path / ROOT / f"embeddings/encoder=ft/tiling=abc123/{slide}.parquet").unlink()
    frame = filled.matrix("e", "class:TUM", by="patient", class_encoder="ft")
    assert frame.attrs["slides_without_classes"] == ["S2", "S4"]
    assert frame.attrs["empty_slides"] == ["S3"]
    assert (list(frame.index), frame.attrs["left_out"]) == (["PA"], ["PB"])
    tiles = all_of(make_rows, "e", "S1").embeddings.astype(np.float64)
    plain = np.average(tiles, axis=0, weights=chances(make_rows, "S1")[:, 2])
    np.testing.assert_allclose(frame.loc["PA"], plain, rtol=1e-4, atol=1e-6)


def test_another_tiling_of_the_same_tiles_will_do(
    filled: FeatureStore, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    first = filled.matrix("e", "class:TUM", class_encoder="ft")
    folder = tmp_path / ROOT / "embeddings/encoder=ft"
    (folder / "tiling=abc123").rename(folder / "tiling=stained")
    assert filled.matrix("e", "class:TUM", class_encoder="ft").equals(first)
    add(filled, make_facts, make_rows, "S1", "ft", tiling="third")
    with pytest.raises(StoreError, match=r"tiling abc123 and several others: stained \(.*, third"):
        filled.matrix("e", "class:TUM", class_encoder="ft")


def test_other_tiles_are_refused(
    filled: FeatureStore, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    add(filled, make_facts, make_rows, "S2", "ft", count=8)
    with pytest.raises(
        StoreError, match="S2' of e and ft: 7 and 8 tiles; their tiles must be the same"
    ):
        filled.matrix("e", "class:TUM", class_encoder="ft")
    facts = make_facts("S2", "ft", dim=9, weights=WEIGHTS["ft"], patient_id="PB")
    filled.commit(facts.key, facts, make_rows(7, 9, seed=77), replace=True)
    with pytest.raises(StoreError, match="slide 'S2' of e and ft: tiles at other places"):
        filled.matrix("e", "class:TUM", class_encoder="ft")
    filled.matrix("e", "mean")


def test_heads_that_do_not_fit_are_refused(filled: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoder e: .*no class head.*= \(there are: ft\)"):
        filled.matrix("e", "classes")
    with pytest.raises(StoreError, match="encoder nn: the store holds no slide"):
        filled.matrix("e", "classes", class_encoder="nn")
    with pytest.raises(ConfigError, match="ft knows no class LYM, choose among ADI, STR, TUM"):
        filled.matrix("e", "class:LYM", class_encoder="ft")
    write_model(tmp_path / ROOT, "ft", weights_sha256="c" * 64)
    with pytest.raises(StoreError, match=r"weights bbbbbbbbbbbb, but its head .* for cccccccccccc"):
        filled.matrix("e", "classes", class_encoder="ft")
    write_model(tmp_path / ROOT, "ft", file_sha256="c" * 64)
    with pytest.raises(StoreError, match=r"not the file that model\.json names"):
        filled.matrix("e", "classes", class_encoder="ft")
    write_model(tmp_path / ROOT, "ft", classes=["TUM", "STR"])
    with pytest.raises(StoreError, match="3 rows of the head for 2 classes"):
        filled.matrix("e", "classes", class_encoder="ft")
    (tmp_path / ROOT / "models/ft/model.json").write_text('{"classes": 3}')
    with pytest.raises(StoreError, match=r"model\.json is damaged: it states no format version"):
        filled.matrix("e", "classes", class_encoder="ft")


def test_a_head_serves_the_float32_vectors_of_its_encoder(
    filled: FeatureStore, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts("S1", "ft-f32", dim=9, dtype="float32", weights=WEIGHTS["ft"])
    about = facts.encoder.model_copy(update={"request": "ft"})
    facts = type(facts)(facts.slide, facts.tiling, about, facts.run_id)
    filled.commit(facts.key, facts, make_rows(900, 9, "float32"))
    assert filled.matrix("ft-f32", "class:TUM").shape == (1, 9)


def test_a_cached_table_says_what_was_pooled(filled: FeatureStore, tmp_path: Path) -> None:
    frame = filled.matrix("e", "class:TUM", by="patient", class_encoder="ft")
    (path,) = (tmp_path / ROOT / "cache/matrix").iterdir()
    table = pq.read_table(path)
    receipt = json.loads(table.schema.metadata[b"histo_ray"])
    assert receipt["facts"] == frame.attrs["receipt"]
    expected = {
        "encoder": "e", "tiling": "abc123", "pool": "class:TUM", "by": "patient", "dim": 5,
        "weights_sha256": WEIGHTS["e"], "class_encoder": "ft", "partitions": 4, "tiles": 1317,
    }  # fmt: skip
    assert expected.items() <= receipt["facts"].items()
    assert table["name"].to_pylist() == ["PA", "PB"]
    assert table["tiles"].to_pylist() == [1310, 7]
    assert table["slides"].to_pylist() == [["S1", "S4"], ["S2"]]
    key = PartitionKey("e", "abc123", "S2")
    assert table["vectors_sha256"].to_pylist()[1] == [filled.read_receipt(key).vectors_sha256]


@pytest.mark.parametrize("change", [{"tiles": 1}, {"pool": "max"}, {"version": 1}, None], ids=str)
def test_a_cache_with_another_receipt_is_made_again(
    filled: FeatureStore, tmp_path: Path, change: dict[str, Any] | None
) -> None:
    first = filled.matrix("e", by="patient")
    (path,) = (tmp_path / ROOT / "cache/matrix").iterdir()
    table = pq.read_table(path)
    receipt = json.loads(table.schema.metadata[b"histo_ray"])
    receipt["facts"] |= change or {}
    kept = {b"histo_ray": json.dumps(receipt).encode()} if change else None
    wrong = table.take([1, 1]).drop(["name"]).append_column("name", table["name"])
    pq.write_table(wrong.replace_schema_metadata(kept), path)
    assert filled.matrix("e", by="patient").equals(first)
    assert pq.read_table(path).equals(table)


def test_what_decides_the_numbers_decides_the_cache(
    filled: FeatureStore,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    filled.matrix("e", "class:TUM,STR", by="patient", class_encoder="ft")
    with monkeypatch.context() as patched:
        patched.delattr(matrix, "_pool_groups")
        filled.matrix("e", "class:STR,TUM", by="patient", class_encoder="ft")
    before = filled.matrix("e", "class:TUM", class_encoder="ft")
    write_model(tmp_path / ROOT, "ft", bias=1.0)
    other_head = filled.matrix("e", "class:TUM", class_encoder="ft")
    assert not before.equals(other_head)
    tissue = filled.matrix("e", "tissue")
    facts = make_facts("S2", "e", weights=WEIGHTS["e"], patient_id="PB")
    rows = [
        TileRows(r.coords, 1 - r.tissue, r.focus, r.embeddings)
        for r in rows_in(make_rows, "S2", "e")
    ]
    filled.commit(facts.key, facts, rows, replace=True)  # the same vectors, another column
    assert (filled.matrix("e", "tissue").loc["S2"] != tissue.loc["S2"]).any()
    patients = filled.matrix("e", by="patient")
    add(filled, make_facts, make_rows, "S4", "e", patient_id="PB")
    assert (filled.matrix("e", by="patient") != patients).any(axis=None)


def test_some_slides_can_be_pooled_alone(filled: FeatureStore) -> None:
    whole = filled.matrix("e")
    for tiling in (None, "abc123"):
        some = filled.matrix("e", tiling=tiling, slide_ids=["S4", "S2"])
        assert some.equals(whole.loc[["S2", "S4"]])
        with pytest.raises(StoreError, match=r"slide 'S9' of encoder e.* is not in the store"):
            filled.matrix("e", tiling=tiling, slide_ids=["S1", "S9"])
    one = filled.matrix("e", by="patient", slide_ids=["S1", "S2"])
    np.testing.assert_array_equal(one.loc["PA"], whole.loc["S1"])


def test_zarr_and_parquet_pool_alike(filled: FeatureStore) -> None:
    for pool in ("mean", "mean+std", "quantiles", "tissue", "classes"):
        before = filled.matrix("e", pool, by="patient", class_encoder="ft")
        filled.gc(older_than_s=-60)
        filled.convert(to="zarr" if pool in ("mean", "quantiles") else "parquet").check()
        after = filled.matrix("e", pool, by="patient", class_encoder="ft")
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_no_weight_at_all_leaves_an_empty_table(filled: FeatureStore, tmp_path: Path) -> None:
    write_model(tmp_path / ROOT, "ft", bias=-80)
    for _ in range(2):
        frame = filled.matrix("e", "class:TUM", by="patient", class_encoder="ft")
        assert (frame.shape, frame.attrs["left_out"]) == ((0, 5), ["PA", "PB"])


def test_tiles_that_are_not_finite_are_told(
    store: FeatureStore,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = join_rows(list(make_rows(50)))
    rows.embeddings[20, 3] = np.inf
    facts = make_facts()
    store.commit(facts.key, facts, [rows])
    for pool in ("mean", "std", "mean+std", "max", "median", "quantiles", "tissue"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            frame = store.matrix("e", pool)
        assert np.isfinite(frame.to_numpy()[0, [0, 1, 2, 4]]).all()
        told = not np.isfinite(frame.to_numpy()).all()
        assert told == ("store verify will tell why: slides: S1" in caplog.text)


def test_a_damaged_partition_is_named(filled: FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / ROOT / "embeddings/encoder=e/tiling=abc123/S1.parquet"
    data = bytearray(path.read_bytes())
    data[4:3000] = bytes(2996)
    path.write_bytes(data)
    for pool in ("mean", "quantiles"):
        with pytest.raises(StoreError, match=r"S1\.parquet: .*damaged; delete that.*store verify"):
            filled.matrix("e", pool)


def test_a_partition_that_was_replaced_meanwhile_is_pooled_as_it_is_now(
    filled: FeatureStore, make_facts: MakeFacts, make_rows: MakeRows, monkeypatch: Any
) -> None:
    def read_then_replace(*args: Any) -> Any:
        found = read_receipts(*args)
        add(filled, make_facts, make_rows, "S2", "e", count=6)
        return found

    for pool in ("mean", "median"):
        add(filled, make_facts, make_rows, "S2", "e")
        with monkeypatch.context() as patch:
            patch.setattr(matrix, "read_receipts", read_then_replace)
            found = filled.matrix("e", pool)
        np.testing.assert_array_equal(found, filled.matrix("e", pool))
        bag = filled.bag("S2", "e").embeddings.astype(np.float64)
        assert len(bag) == 6
        middle = bag.mean(axis=0) if pool == "mean" else np.median(bag, axis=0)
        np.testing.assert_allclose(found.loc["S2"], middle, rtol=1e-6)
        assert found.attrs["receipt"] == filled.matrix("e", pool).attrs["receipt"]
