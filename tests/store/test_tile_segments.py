"""The derived table of tiles: never asked what there is, so no answer depends on it."""

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from histo_ray.store import tile_segments
from histo_ray.store.atomic_write import discard
from histo_ray.store.catalog import list_files
from histo_ray.store.layout import Form, partition_path
from histo_ray.store.store import Store
from histo_ray.types import PartitionKey, Receipt
from tests.made_up import facts_of, rows_of

SLIDES = ("a", "b[1]", "it's", "d", "e.parquet", "f")
TILES = "select * exclude (embedding) from embeddings order by all"
WITH_VECTORS = (
    "select * exclude (embedding, e) from (select *, embedding as e from embeddings) "
    "where e is not null or slide_id = '' order by all"
)


@pytest.fixture(autouse=True)
def few_partitions_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_segments, "LEAST", 2)
    monkeypatch.setattr(tile_segments, "MOST", 4)
    monkeypatch.setattr(tile_segments, "FEW_SEGMENTS", 2)
    monkeypatch.setattr(tile_segments, "SETTLED_NS", 0)


@pytest.fixture
def full(store: Store) -> Store:
    for number, slide_id in enumerate(SLIDES):
        put(store, slide_id, seed=number, form="zarr" if number == 3 else "parquet")
    return store


def put(
    store: Store, slide_id: str, seed: int, form: Form = "parquet", encoder: str = "e"
) -> Receipt:
    facts = facts_of(slide_id, encoder)
    return store.commit(
        facts.key, facts, rows_of(3 + seed % 4, seed=seed), format=form, replace=True
    )


def drop(store: Store, slide_id: str, form: Form = "parquet") -> bool:
    path = partition_path(PartitionKey("e", "abc123", slide_id), form)
    return discard(store.root, store.root.child(path))


def segments(store: Store, suffix: str = "parquet") -> list[Path]:
    return sorted(Path(store.root.path).glob(f"cache/tiles/*/*/*.{suffix}"))


def check(store: Store) -> list[tuple[Any, ...]]:
    """Tiles by the derived table are those that partitions have; they are given back."""
    found = store.sql(TILES).fetchall()
    assert found == store.sql(WITH_VECTORS).fetchall()
    return found


def test_tiles_come_from_segments_once_they_are_written(full: Store) -> None:
    before = check(full)
    assert len(segments(full)) == len(segments(full, "index")) == 2
    hidden = Path(full.root.path) / "embeddings/encoder=e/tiling=abc123/a.parquet"
    stat = hidden.stat()
    data = hidden.read_bytes()
    hidden.write_bytes(b"?" * len(data))  # a file that only its look says to be the same
    os.utime(hidden, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    looks = list_files

    def as_before(*names: Any) -> Any:
        table = looks(*names)
        at = table["name"].to_pylist().index("a")
        changed = table["ctime_ns"].to_pylist()
        changed[at] = stat.st_ctime_ns
        return table.set_column(table.column_names.index("ctime_ns"), "ctime_ns", [changed])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_segments, "list_files", as_before)
        assert full.sql(TILES).fetchall() == before
    assert len(segments(full)) == 2


KEEPS = ("goes", "go", "cut", "zarr", "parquet", "removed as garbage", "another's")
"""How the steps end that change no tile."""
STEPS: dict[str, Callable[[Store], object]] = {
    "one is added": lambda store: put(store, "new", 9),
    "some are added": lambda store: [put(store, f"new{n}", n) for n in range(3)],
    "one is replaced": lambda store: put(store, "b[1]", 7),
    "one of as many tiles is replaced": lambda store: put(store, "a", 8),
    "tiles of a segment go": lambda store: segments(store)[0].unlink(),
    "an index goes": lambda store: segments(store, "index")[0].unlink(),
    "tiles are cut": lambda store: os.truncate(segments(store)[0], 40),
    "an index is cut": lambda store: os.truncate(segments(store, "index")[0], 40),
    "an index is another's": lambda store: shutil.copy(*segments(store, "index")[-2:]),
    "most are replaced": lambda store: [put(store, s, 11) for s in SLIDES[:3]],
    "one is out": lambda store: drop(store, "it's"),
    "one is now zarr": lambda store: put(store, "f", 5, "zarr"),
    "one is now parquet": lambda store: put(store, "d", 3),
    "another encoder comes": lambda store: [put(store, s, 1, encoder="g") for s in "xyz"],
    "all are zarr": lambda store: store.convert("zarr").check(),
    "the cache goes": lambda store: shutil.rmtree(Path(store.root.path) / "cache"),
    "it is removed as garbage": lambda store: store.gc(older_than_s=0),
}


def test_no_answer_depends_on_segments(full: Store) -> None:
    before = check(full)
    for step, change in STEPS.items():
        change(full)
        found = check(full)
        assert (found == before) == step.endswith(KEEPS), step
        before = found


def test_small_segments_are_joined_and_their_partitions_are_counted_once(store: Store) -> None:
    tile_segments.MOST = 64  # the fixture puts it back
    for number in range(8):
        put(store, f"s{number}", number)
        if number % 2:
            check(store)
    sizes = [pq.read_metadata(path).num_rows for path in segments(store, "index")]
    assert sizes == [2, 2, 2, 8]
    check(store)


def test_a_file_that_changed_just_now_is_in_no_segment(
    full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_segments, "SETTLED_NS", 60 * 10**9)
    check(full)
    assert segments(full) == []


def test_a_store_that_keeps_no_catalogue_gets_no_segments(full: Store) -> None:
    reader = Store(full.root, keep_catalogue=False)
    check(reader)
    assert segments(full) == []


def test_a_partition_that_cannot_be_read_keeps_others_from_no_segment(full: Store) -> None:
    path = Path(full.root.path) / "embeddings/encoder=e/tiling=abc123/a.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(Exception, match=r"a\.parquet"):
        full.sql(TILES).fetchall()
    path.write_bytes(data)
    check(full)


def test_readers_beside_writers_see_each_slide_as_it_was_or_is(full: Store) -> None:
    """Two threads ask without end while partitions are replaced by ones of other lengths."""
    ends = threading.Event()

    def ask() -> list[dict[str, int]]:
        seen = []
        while not ends.is_set():
            query = "select slide_id, count(*) from embeddings group by 1"
            seen.append(dict(Store(full.root).sql(query).fetchall()))
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(ask) for _ in range(2)]
        try:
            for seed in range(10, 14):
                for slide_id in ("a", "f"):
                    put(full, slide_id, seed)
        finally:
            ends.set()
        seen = [counts for reader in readers for counts in reader.result()]
    assert len(seen) >= 2
    still = {s: 3 + n % 4 for n, s in enumerate(SLIDES) if s not in ("a", "f")}
    for counts in seen:
        assert counts.keys() == set(SLIDES)
        assert {s: counts[s] for s in still} == still
        assert {counts["a"], counts["f"]} <= {3, 4, 5, 6}
    check(full)


def test_segments_are_garbage_that_gc_knows(full: Store) -> None:
    check(full)
    stray = segments(full)[0].with_name("mine.parquet")
    stray.write_bytes(b"")
    removed = full.gc(older_than_s=0)
    assert sum(path.startswith("cache/tiles/") for path in removed) == 4
    assert segments(full) == [stray]
