"""Partitions that another process replaces while they are read."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from histo_ray.errors import StoreError
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store import parquet, zarr
from histo_ray.store.find import find_slide
from histo_ray.store.layout import FORMS, Form
from histo_ray.store.replaced import TRIES, ReplacedError, read_again, unreplaced
from histo_ray.store.store import Store, open_store
from histo_ray.types import TileRows
from testing.object_server import FaultyServer
from tests.made_up import facts_of

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from histo_ray.store.store import open_store
from tests.store.test_replaced import put
store = open_store(sys.argv[1])
version = 0
while True:
    for slide in "AB":
        put(store, slide, version, sys.argv[2])
    version += 1
"""


def put(store: Store, slide: str, version: int, form: Form) -> None:
    """Store a slide all of whose numbers are its version's; versions differ in tiles."""
    count = 30 + 40 * (version % 2)
    facts = facts_of(slide, "e", "t0", 16)
    coords, ones = np.full((count, 2), version, np.int32), np.ones(count, np.float32)
    vectors = np.full((count, 16), version % 1000, np.float16)
    store.commit(
        facts.key, facts, [TileRows(coords, ones, ones, vectors)], format=form, replace=True
    )


def assert_whole(store: Store, slide: str) -> int:
    """Its bag is of one version; which."""
    bag = store.bag(slide, "e")
    (version,) = np.unique(bag.coords).tolist()
    assert np.unique(bag.embeddings).tolist() == [version % 1000]
    assert len(bag.coords) == 30 + 40 * (version % 2)
    return int(version)


@contextmanager
def replacing(store: Path, form: Form) -> Iterator[None]:
    """Another process replaces both slides as fast as it can."""
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store), form, root]) as writer:
        try:
            yield
        finally:
            assert writer.poll() is None
            writer.kill()


@pytest.mark.parametrize("form", FORMS)
def test_a_reader_beside_a_replacing_run_sees_old_or_new_and_no_error(
    tmp_path: Path, form: Form
) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    for slide in "AB":
        put(store, slide, 0, form)
    seen: set[float] = set()
    with replacing(tmp_path / "store", form):
        deadline = time.monotonic() + 250
        while len(seen) < 30 and time.monotonic() < deadline:
            seen.add(assert_whole(store, "A"))
            for pool in ("mean", "median"):
                rows = pool_matrix(store, "e", pool=pool).to_numpy()
                assert rows.shape == (2, 16)
                assert (rows == rows[:, :1]).all()
            assert len(store.slides()) == 2
            assert not [line for line in store.verify()[1] if not line.startswith(".staging")]
    assert len(seen) == 30


def test_a_pooled_table_is_of_the_receipts_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from histo_ray.pooling import matrix

    store = open_store(str(tmp_path / "store"), create=True)
    for slide in "AB":
        put(store, slide, 0, "parquet")
    pool_group, versions = matrix.pool_group, iter([2, 4])

    def replace_first(*args: object) -> object:
        put(store, "A", next(versions, 4), "parquet")  # as many tiles as before
        return pool_group(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(matrix, "pool_group", replace_first)
    made = pool_matrix(store, "e")
    monkeypatch.undo()
    assert made.to_numpy()[0].tolist() == [4.0] * 16
    kept = pool_matrix(store, "e")
    assert kept.attrs["receipt"] == made.attrs["receipt"]
    np.testing.assert_array_equal(kept, made)


@pytest.mark.parametrize(("form", "module"), [("parquet", parquet), ("zarr", zarr)])
def test_a_bag_whose_partition_is_replaced_between_two_reads_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form, module: object
) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    put(store, "A", 2, form)
    name = "_read_straight" if form == "parquet" else "_check_lengths"
    read, left = getattr(module, name), [4]

    def replace_first(*args: object) -> object:
        if left:
            put(store, "A", left.pop(), form)
        return read(*args)

    monkeypatch.setattr(module, name, replace_first)
    assert assert_whole(store, "A") == (2 if form == "parquet" else 4)


@pytest.mark.parametrize("version", [3, 4])  # of another number of tiles, and of the same
@pytest.mark.parametrize("before", range(5))
def test_a_table_is_of_one_version_whenever_a_partition_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, version: int
) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    put(store, "A", 2, "zarr")
    read, calls = zarr._read_array, iter(range(1000))

    def replace_before(*args: object) -> object:
        if next(calls) == before:
            put(store, "A", version, "zarr")
        return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(zarr, "_read_array", replace_before)
    assert pool_matrix(store, "e").to_numpy().tolist() == [[float(version)] * 16]
    assert next(calls) > before


def test_an_object_that_is_replaced_between_two_requests_is_read_again(
    faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("s3://bucket/faults/replaced", create=True)
    put(store, "A", 2, "parquet")
    read, left = parquet._read_straight, [4]

    def replace_first(*args: object) -> object:
        if left:
            put(store, "A", left.pop(), "parquet")
        return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(parquet, "_read_straight", replace_first)
    assert assert_whole(store, "A") == 4


def test_a_slide_that_changes_its_form_while_it_is_read_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from histo_ray.store import slide_bags as module

    store = open_store(str(tmp_path / "store"), create=True)
    put(store, "A", 2, "parquet")
    find, left = find_slide, [4]

    def replace_then(*args: object) -> object:
        found = find(*args)  # type: ignore[arg-type]
        if left:
            put(store, "A", left.pop(), "zarr")
        return found

    monkeypatch.setattr(module, "find_slide", replace_then)
    assert assert_whole(store, "A") == 4


def test_what_is_replaced_each_time_is_told_at_last() -> None:
    looks = iter(range(100))

    @read_again
    def read() -> None:
        with unreplaced("S1", looks.__next__):
            pass

    with pytest.raises(ReplacedError, match="S1: another run replaced it while it was read; run"):
        read()
    assert next(looks) == 2 * TRIES


def test_damage_is_no_replacement() -> None:
    with pytest.raises(StoreError, match="damaged") as told, unreplaced("S1", lambda: 1):
        raise StoreError("damaged")
    assert type(told.value) is StoreError
    with pytest.raises(ReplacedError), unreplaced("S1", iter([1, 2]).__next__):
        raise StoreError("columns of different lengths")
