"""Two runs at once, one that writes Parquet and one that writes Zarr: a slide is stored once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store import store as store_module
from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.store import Store, open_store
from histo_ray.types import PartitionKey, TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
KEY = PartitionKey("e", "abc123", "S1")


def forms_of(store: Store) -> set[str]:
    """What lies in the folder of the partitions."""
    return set(store._root.child("embeddings/encoder=e/tiling=abc123").names())


@pytest.mark.parametrize("remote", [False, True], ids=["local", "s3"])
@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("late", [False, True], ids=["seen before", "seen after"])
def test_a_form_that_another_run_stored_meanwhile_is_the_only_one_that_stays(
    s3: str,
    remote: bool,
    first: Form,
    late: bool,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`late`: the other run publishes between this run's last look and its own publishing."""
    uri = f"s3://bucket/forms/{first}-{late}" if remote else str(tmp_path / "store")
    store = open_store(uri, create=True)
    second: Form = "zarr" if first == "parquet" else "parquet"
    mine, others = make_facts("S1", run_id="mine"), make_facts("S1", run_id="other")
    publish, find = (store_module.__dict__[name] for name in ("publish", "find_form"))
    waiting = [True]

    def other_run() -> None:
        if waiting.pop():
            waiting.append(False)
            open_store(uri).commit(KEY, others, make_rows(9), format=first)
        else:
            waiting.append(False)

    def publish_late(built: Path, target: Location, replace: bool = False) -> bool:
        if late:
            other_run()
        return bool(publish(built, target, replace))

    def rows() -> Iterator[TileRows]:
        yield from make_rows(9)
        if not late:
            other_run()

    monkeypatch.setattr(store_module, "publish", publish_late)
    monkeypatch.setattr(store_module, "find_form", find)
    receipt = store.commit(KEY, mine, rows(), format=second)
    kept = "parquet" if late else first
    assert forms_of(store) == {f"S1.{kept}"}
    assert receipt == store.read_receipt(KEY)
    assert receipt.run_id == ("mine" if late and second == "parquet" else "other")
    assert store.verify() == (1, [])
    assert store._root.child(".staging").names() == []


def test_readers_count_a_slide_in_both_forms_once(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    """As an older version could leave it; which one is read is the same everywhere."""
    other = open_store(str(tmp_path / "other"), create=True)
    for where, form, seed in ((store, "parquet", 1), (other, "zarr", 2)):
        facts = make_facts("S1", run_id=form)
        where.commit(facts.key, facts, make_rows(9, seed=seed), format=form)  # type: ignore[arg-type]
    path = partition_path(KEY, "zarr")
    (tmp_path / "other" / path).rename(tmp_path / "store" / path)
    (vectors,) = (rows.embeddings for rows in make_rows(9, seed=1))
    np.testing.assert_array_equal(store.bag("S1", "e").embeddings, vectors)
    assert pool_matrix(store, "e").shape == (1, 5)
    assert list(store.slides()["format"]) == ["parquet"]
    assert store.sql("select count(*) from embeddings").fetchall() == [(9,)]
    assert store.sql("select count(*) from slides").fetchall() == [(1,)]
    assert store.list_keys() == {KEY}
    (problem,) = store.verify()[1]
    assert problem.startswith(path)
    assert "there as Parquet too, with other content; readers take the Parquet" in problem
    facts = make_facts("S1", run_id="new")
    store.commit(KEY, facts, make_rows(4), format="zarr", replace=True)
    assert forms_of(store) == {"S1.zarr"}
    assert len(store.bag("S1", "e")) == 4
