"""A damaged partition is one sentence with its path, and stops nobody else's."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.errors import StoreError
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store import receipt_cache
from histo_ray.store.catalog import FORMATS
from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.partition_vectors import CountedPartition, read_pieces
from histo_ray.store.store import Store
from histo_ray.types import PartitionKey, TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
KEY = PartitionKey("e", "abc123", "S1")


def damages(whole: bytes, random: np.random.Generator) -> Iterator[bytes]:
    """Bytes set at random, ends cut off, numbers of JSON made up."""
    for _ in range(3):
        changed = bytearray(whole)
        for at in random.integers(0, len(whole), random.integers(1, 4)):
            changed[at] = random.integers(256)
        yield bytes(changed)
    yield whole[: random.integers(len(whole))]
    yield b""
    if whole[:1] == b"{":
        for old, new in ((b"9", b"-1"), (b"9", b"99999999"), (b"5", b"null"), (b"[", b"[[]], [")):
            yield whole.replace(old, new)
        values: tuple[Any, ...] = ([], {"attributes": []}, {"attributes": {"histo_ray": 3}}, 7)
        for value in values:
            yield json.dumps(value).encode()


@pytest.mark.parametrize("form", FORMS)
def test_whatever_the_damage_a_reader_hears_a_store_error(
    store: Store, form: Form, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(9), format=form)
    place = store._root.child(partition_path(KEY, form))
    path = Path(place.path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    random, told = np.random.default_rng(4), list[str]()
    asks: list[Callable[[], Any]] = [
        lambda: store.bag("S1", "e"),
        lambda: list(read_pieces(store._root, CountedPartition(KEY, form, 9))),
        lambda: FORMATS[form].read_texts(place),
        lambda: store.read_receipt(KEY),
    ]
    for file in sorted(files):
        whole = file.read_bytes()
        for damage in damages(whole, random):
            file.write_bytes(damage)
            known = len(told)
            for ask in asks:
                try:
                    ask()
                except StoreError as error:
                    told.append(str(error))
            assert len(told) > known or store.verify()[1] or damage == whole
        file.write_bytes(whole)
    assert len(told) > 10
    assert not [text for text in told if "\n" in text or "S1" not in text]
    assert store.verify() == (1, [])


def test_columns_of_different_lengths_are_damage(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(9), format="zarr")
    meta = Path(store._root.path) / partition_path(KEY, "zarr") / "y/zarr.json"
    said = json.loads(meta.read_bytes())
    said["shape"] = [4]
    meta.write_text(json.dumps(said))
    with pytest.raises(StoreError, match=r"S1\.zarr.*different lengths"):
        store.bag("S1", "e")


@pytest.mark.parametrize("least", [2, 64], ids=["catalogue", "few"])
def test_a_truncated_partition_is_named_and_the_others_are_read(
    store: Store,
    least: int,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receipt_cache, "LEAST", least)
    for slide_id in ("S1", "S2", "S3"):
        facts = make_facts(slide_id)
        store.commit(facts.key, facts, make_rows(9))
    path = Path(store._root.path) / partition_path(KEY, "parquet")
    path.write_bytes(path.read_bytes()[:100])
    told: dict[PartitionKey, StoreError] = {}
    assert list(store.slides(on_damaged=told.__setitem__)["slide_id"]) == ["S2", "S3"]
    assert list(told) == [KEY]
    assert "S1.parquet" in str(told[KEY])
    assert [key.slide_id for key, _ in store.each_receipt(on_damaged=told.__setitem__)] == [
        "S2",
        "S3",
    ]
    with pytest.raises(StoreError, match=r"S1\.parquet"):
        store.slides()
    assert store.sql("select slide_id from slides order by 1").fetchall() == [("S2",), ("S3",)]
    with pytest.raises(StoreError, match=r"view embeddings cannot be made.*S1\.parquet.*verify"):
        store.sql("from embeddings")
    store.check_encoder(make_facts().encoder)  # by the next partition
    with pytest.raises(StoreError, match="weights_sha256"):
        store.check_encoder(make_facts(weights="b" * 64).encoder)


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_vector_is_found_where_it_is_asked_for(
    store: Store, form: Form, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(9), format=form)
    assert len(store.bag("S1", "e", check=True)) == 9
    assert pool_matrix(store, "e", check=True).shape == (1, 5)
    path = Path(store._root.path) / partition_path(KEY, form)
    file = path if path.is_file() else path / "embedding/c/0/0"
    data = bytearray(file.read_bytes())
    data[data.index(store.bag("S1", "e").embeddings[3].tobytes()) + 1] ^= 1
    file.write_bytes(data)
    assert len(store.bag("S1", "e")) == 9  # not noticed, as the docstring says
    asks: tuple[Callable[[], object], ...] = (
        lambda: store.bag("S1", "e", check=True),
        lambda: pool_matrix(store, "e", check=True),
        lambda: store.check([KEY]),
    )
    for ask in asks:
        with pytest.raises(StoreError, match=r"1 partition is damaged: .*S1.*bytes differ"):
            ask()
