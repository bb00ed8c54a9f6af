"""Partitions of labelled tile sets, in both forms, beside those of slides."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.errors import StoreError
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import Store, open_store
from histo_ray.types import Receipt, TileRows

MakeFacts = Callable[..., PartitionFacts]
MakeRows = Callable[..., Iterator[TileRows]]
Commit = Callable[..., Receipt]

GIVEN = "xabc123"
COUNT = 301
LABELS = tuple(("TUM", "STR", "Fat tissue, größer")[k * 3 // COUNT] for k in range(COUNT))
GROUPS = tuple(f"P{k % 7}" for k in range(COUNT))


@pytest.fixture
def commit(store: Store, make_facts: MakeFacts, make_rows: MakeRows) -> Commit:
    """Commits one labelled partition of COUNT tiles."""

    def run(
        name: str = "nct", *, groups: bool = True, form: Any = "parquet", encoder: str = "e"
    ) -> Receipt:
        columns = ("label", "group") if groups else ("label",)
        facts = replace(make_facts(name, encoder, tiling=GIVEN), text_columns=columns)

        def rows() -> Iterator[TileRows]:
            at = 0
            for block in make_rows(COUNT):
                here = slice(at, at + len(block))
                texts = {"label": np.array(LABELS[here]), "group": np.array(GROUPS[here])}
                yield replace(block, texts={n: texts[n] for n in columns})
                at = here.stop

        return store.commit(facts.key, facts, rows(), format=form)

    return run


@pytest.mark.parametrize("form", ["parquet", "zarr"])
def test_labels_and_groups_come_back_as_written(
    store: Store, commit: Commit, make_rows: MakeRows, form: Any
) -> None:
    receipt = commit(form=form)
    bag = store.labelled("nct", encoder="e")
    written = np.concatenate([block.embeddings for block in make_rows(COUNT)])
    assert bag.labels == LABELS
    assert bag.groups == GROUPS
    assert bag.embeddings.tobytes() == written.tobytes()
    assert receipt.text_columns == ("label", "group")
    assert len(receipt.texts_sha256) == 64
    assert store.verify() == (1, [])


@pytest.mark.parametrize("form", ["parquet", "zarr"])
def test_unknown_groups_are_none(store: Store, commit: Commit, form: Any) -> None:
    commit(groups=False, form=form)
    bag = store.labelled("nct", encoder="e")
    assert bag.groups is None
    assert bag.labels == LABELS
    assert store.verify() == (1, [])


def test_either_form_becomes_the_other_and_back_without_a_change(
    store: Store, commit: Commit
) -> None:
    receipt = commit()
    assert store.convert("zarr").check() == 1
    assert store.labelled("nct", "e").labels == LABELS
    assert store.verify() == (1, [])
    assert store.convert("parquet").check() == 1
    assert store.labelled("nct", "e").groups == GROUPS
    assert list(store.receipts().values()) == [receipt]
    assert store.verify() == (1, [])


def test_the_receipt_tells_the_same_labels_in_both_forms(store: Store, commit: Commit) -> None:
    one, two = commit("a", form="parquet"), commit("b", form="zarr")
    assert one.texts_sha256 == two.texts_sha256


def test_a_changed_label_is_found(store: Store, commit: Commit, tmp_path: Path) -> None:
    commit()
    (path,) = (tmp_path / "store").glob("embeddings/*/*/*.parquet")
    meta = pq.read_metadata(path).metadata
    table = pq.read_table(path, partitioning=None)
    labels = ["STR", *table["label"].to_pylist()[1:]]
    at = table.schema.get_field_index("label")
    table = table.set_column(at, table.schema.field(at), pa.array(labels))
    pq.write_table(table.replace_schema_metadata(meta), path)
    problems = "\n".join(store.verify()[1])
    assert "label" in problems or "seal" in problems or "bytes differ" in problems


def test_rows_without_the_promised_columns_are_refused(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = replace(make_facts("nct", tiling=GIVEN), text_columns=("label",))
    with pytest.raises(ValueError, match="label"):
        store.commit(facts.key, facts, make_rows(5))
    assert not store.exists(facts.key)


def test_slides_and_tile_sets_live_in_one_store(
    store: Store, commit: Commit, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    for name in ("S1", "S2"):
        facts = make_facts(name, tiling="tabc123")
        store.commit(facts.key, facts, make_rows(40))
    commit("train")
    commit("only-tiles", encoder="a")  # its file comes first of all
    assert store.verify() == (4, [])
    assert len(store.slides()) == 4
    assert pool_matrix(store, encoder="e").index.tolist() == ["S1", "S2"]
    found = store.sql(
        "select slide_id, label, count(*) from embeddings where encoder = 'e' "
        "group by all order by all"
    ).fetchall()
    assert found[:2] == [("S1", None, 40), ("S2", None, 40)]
    assert {row[1]: row[2] for row in found[2:]} == {l: LABELS.count(l) for l in LABELS}  # noqa: E741
    glob = f"{tmp_path}/store/embeddings/encoder=e/*/*.parquet"
    query = f"select count(*) from read_parquet('{glob}', hive_partitioning = true)"
    assert duckdb.connect().execute(query).fetchall() == [(80 + COUNT,)]


def test_what_is_not_there_is_told_with_what_is(store: Store, commit: Commit) -> None:
    commit("train")
    with pytest.raises(StoreError, match=r"tile set 'test' of encoder e: .*tile sets .*train"):
        store.labelled("test", "e")
    with pytest.raises(StoreError, match="extract it first"):
        store.labelled("train", "other")


def test_old_receipts_without_text_columns_are_read(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts("S1")
    receipt = store.commit(facts.key, facts, make_rows(9))
    old = receipt.model_dump(exclude={"text_columns", "texts_sha256"})
    del old["tiling"]["stain_fit"]
    assert Receipt.model_validate(old) == receipt


def test_remote_stores_hold_labels_too(s3: str, commit: Commit, store: Store) -> None:
    commit()
    far = open_store("s3://bucket/labelled", create=True)
    assert store.convert("zarr", far).check() == 1
    assert far.labelled("nct", "e").labels == LABELS
