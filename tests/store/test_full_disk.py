"""A store on a disk that is full or read-only: one line, no half partition, and it goes on."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from histo_ray.errors import StoreError
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store.store import Store, open_store
from tests.small_disk import SmallDisk, small_disk

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Any]
DIM = 64


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", kib=400) as disk:
        yield disk


def commit(store: Store, make_facts: MakeFacts, make_rows: MakeRows, slide: str, form: Any) -> None:
    facts = make_facts(slide, dim=DIM)
    store.commit(facts.key, facts, make_rows(1000, dim=DIM), format=form)


@pytest.mark.parametrize("form", ["parquet", "zarr"])
def test_a_full_disk_takes_whole_partitions_or_none(
    disk: SmallDisk, make_facts: MakeFacts, make_rows: MakeRows, form: str
) -> None:
    store = open_store(str(disk.path), create=True)
    names = [f"S{number}" for number in range(9)]
    problem = ""
    for name in names:  # 150 kB each
        try:
            commit(store, make_facts, make_rows, name, form)
        except StoreError as error:
            problem = str(error)
            break
    assert re.search("No space left on device.*; make room", problem)
    assert "\n" not in problem
    there = {key.slide_id for key in store.list_keys()}
    assert 0 < len(there) < len(names)
    assert store.verify() == (len(there), [])
    assert not list(disk.path.glob(".staging/*"))
    disk.remount("size=8m")
    for name in names:
        commit(store, make_facts, make_rows, name, form)
    assert store.verify() == (len(names), [])


def test_a_read_only_store_is_read_and_says_that_it_takes_nothing(
    disk: SmallDisk,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = open_store(str(disk.path), create=True)
    commit(store, make_facts, make_rows, "S1", "parquet")
    disk.remount("ro")
    with pytest.raises(StoreError, match=r"Read-only file system.*mount it for writing"):
        commit(store, make_facts, make_rows, "S2", "parquet")
    with pytest.raises(StoreError, match="Read-only file system"):
        store.write_run("r", [])
    assert store.verify() == (1, [])
    with caplog.at_level(logging.WARNING):
        assert pool_matrix(store, "e").shape == (1, DIM)
    assert "not kept for the next time" in caplog.text
    with pytest.raises(StoreError, match="Read-only file system"):
        open_store(str(disk.path / "new"), create=True)
