import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from histo_ray.errors import StoreError
from histo_ray.store import receipt_cache
from histo_ray.store.layout import Form
from histo_ray.store.location import Location
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.store import Store, open_store
from histo_ray.types import PartitionKey
from tests.made_up import facts_of, rows_of

COUNT = receipt_cache.LEAST + 6
FOLDER = "encoder=e/tiling=abc123"

WRITER = """
import importlib.util, sys
from histo_ray.store import receipt_cache
from histo_ray.store.store import open_store
spec = importlib.util.spec_from_file_location("made", sys.argv[1])
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
receipt_cache.SETTLED_NS = -(10**10)
receipt_cache.LEAST = 2  # so that every look writes the catalogue
store, me = open_store(sys.argv[2]), int(sys.argv[3])

def commit(name, seed):
    facts = made.facts_of(name, site=f"site {seed}")
    store.commit(facts.key, facts, made.rows_of(3, seed=seed), replace=True)

for turn in range(12):
    commit(f"W{me}", 100 * me + turn)
    commit(f"W{me}-{turn}", turn)
    commit(f"X{me}-{turn}", turn)
    sites = store.slides().set_index(["encoder", "slide_id"]).site
    assert sites["e", f"W{me}"] == f"site {100 * me + turn}"
    assert sites["e", f"W{me}-{turn}"] == f"site {turn}"
"""


def name_of(number: int) -> str:
    return f"S{number}-1" if number % 3 else f"S{number}"  # "S3.parquet" sorts behind "S3-1"


def commit(store: Store, name: str, seed: int, replace: bool = False, count: int = 3) -> None:
    facts = facts_of(name, site=f"site {seed}")
    store.commit(facts.key, facts, rows_of(count, seed=seed), replace=replace)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of `COUNT` slides, every tenth as Zarr, and a few of another encoder."""
    root = tmp_path_factory.mktemp("made") / "store"
    store = open_store(str(root), create=True)
    for number in range(COUNT):
        facts = facts_of(name_of(number), site=f"site {number}")
        form: Form = "parquet" if number % 10 else "zarr"
        store.commit(facts.key, facts, rows_of(3, seed=number), format=form)
    facts = facts_of("S1", "wide", dim=9)
    store.commit(facts.key, facts, rows_of(4, 9))
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, whose files count as settled."""
    monkeypatch.setattr(receipt_cache, "SETTLED_NS", -(10**10))
    return Path(shutil.copytree(made, tmp_path / "store"))


def catalogue_of(root: Path) -> Path:
    return root / "cache" / "catalogue" / f"{FOLDER}.parquet"


def answers(root: Path) -> tuple[pd.DataFrame, dict[PartitionKey, Any]]:
    store = open_store(str(root))
    return store.slides(), store.receipts()


def check(root: Path, want: tuple[pd.DataFrame, dict[PartitionKey, Any]]) -> None:
    slides, receipts = answers(root)
    pd.testing.assert_frame_equal(slides, want[0])
    assert list(receipts.items()) == list(want[1].items())


def without_catalogue(root: Path) -> tuple[pd.DataFrame, dict[PartitionKey, Any]]:
    """What a store says from its partitions alone."""
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    shutil.rmtree(copy / "cache", ignore_errors=True)
    return answers(copy)


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the Parquet files whose receipts are read, as they are."""
    names: list[str] = []
    read = ParquetFormat.read_receipt_text

    def note(self: ParquetFormat, place: Location) -> bytes:
        names.append(place.path.rpartition("/")[2])
        return read(self, place)

    monkeypatch.setattr(ParquetFormat, "read_receipt_text", note)
    return names


def test_rows_are_those_of_the_receipts_in_the_order_of_keys(root: Path) -> None:
    slides, receipts = answers(root)
    assert list(receipts) == sorted(receipts)
    assert len(receipts) == COUNT + 1
    store = open_store(str(root))
    for key, receipt in receipts.items():
        assert receipt == store.read_receipt(key)
    assert slides["slide_id"].tolist() == [key.slide_id for key in receipts]
    assert slides["site"].tolist() == [receipt.slide.site for receipt in receipts.values()]
    assert (slides["format"] == "zarr").sum() == -(-COUNT // 10)


def test_the_second_look_reads_no_file_and_says_the_same(root: Path, read_files: list[str]) -> None:
    first = answers(root)
    assert catalogue_of(root).is_file()
    read_files.clear()
    check(root, first)
    assert read_files == ["S1.parquet"] * 2  # of the folder that is too small for a catalogue


def test_deleting_the_catalogue_changes_no_answer(root: Path) -> None:
    first = answers(root)
    shutil.rmtree(root / "cache")
    check(root, first)


def damages() -> dict[str, Callable[[bytes], bytes]]:
    def flip(data: bytes, at: int) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 0x10
        return bytes(changed)

    return {
        "emptied": lambda data: b"",
        "cut short": lambda data: data[: len(data) // 2],
        "text": lambda data: b"not Parquet",
        "grown": lambda data: data + b"PAR1",
        "first byte": lambda data: flip(data, 0),
        "a row": lambda data: flip(data, 300),
        "the middle": lambda data: flip(data, len(data) // 2),
        "the footer": lambda data: flip(data, len(data) - 700),
        "the seal": lambda data: flip(data, data.rindex(b"histo_ray_digest") + 30),
        "another version": lambda data: data.replace(
            b"histo_ray_catalogue", b"histo_ray_catalogux"
        ),
    }


@pytest.mark.parametrize("damage", damages())
def test_damaging_the_catalogue_changes_no_answer(root: Path, damage: str) -> None:
    first = answers(root)
    path = catalogue_of(root)
    whole = path.read_bytes()
    path.write_bytes(damages()[damage](whole))
    assert path.read_bytes() != whole
    check(root, first)
    assert len(path.read_bytes()) == len(whole)  # and it is whole again


def test_a_folder_in_the_catalogue_s_place_changes_no_answer(root: Path) -> None:
    first = answers(root)
    catalogue_of(root).unlink()
    catalogue_of(root).mkdir()
    check(root, first)


def test_another_folder_s_catalogue_is_not_believed(root: Path) -> None:
    embeddings = root / "embeddings"
    shutil.copytree(embeddings / "encoder=e", embeddings / "encoder=f", copy_function=os.link)
    first = answers(root)  # links: the files of both look the same in every way
    other = Path(str(catalogue_of(root)).replace("encoder=e", "encoder=f"))
    shutil.copy(catalogue_of(root), other)
    check(root, first)
    assert set(first[0]["encoder"]) == {"e", "f", "wide"}


def test_new_changed_and_vanished_partitions_are_seen(root: Path, read_files: list[str]) -> None:
    store = open_store(str(root))
    answers(root)
    commit(store, name_of(1), seed=1001, replace=True)  # of the same size
    commit(store, "late", seed=7)
    (root / "embeddings" / FOLDER / f"{name_of(2)}.parquet").unlink()
    read_files.clear()
    slides, receipts = answers(root)
    assert set(read_files) == {f"{name_of(1)}.parquet", "late.parquet", "S1.parquet"}
    keys = {key.slide_id for key in receipts}
    assert "late" in keys
    assert name_of(2) not in keys
    assert slides.set_index("slide_id").site[name_of(1)] == "site 1001"
    check(root, without_catalogue(root))


def test_a_change_that_keeps_size_and_time_is_seen(root: Path) -> None:
    path = root / "embeddings" / FOLDER / f"{name_of(1)}.parquet"
    answers(root)
    before = path.stat()
    data = path.read_bytes()
    assert data.count(b'"site 1"') == 1
    path.write_bytes(data.replace(b'"site 1"', b'"site X"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert (answers(root)[0]["site"] == "site X").sum() == 1


def test_a_zarr_partition_that_changes_is_seen(root: Path) -> None:
    path = root / "embeddings" / FOLDER / f"{name_of(10)}.zarr" / "zarr.json"
    answers(root)
    about = json.loads(path.read_text())
    about["attributes"]["histo_ray"]["slide"]["site"] = "elsewhere"
    path.write_text(json.dumps(about))
    assert (answers(root)[0]["site"] == "elsewhere").sum() == 1
    path.unlink()  # half of a partition is none
    assert name_of(10) not in set(answers(root)[0]["slide_id"])


def test_a_part_of_a_folder_is_answered_from_the_catalogue(
    root: Path, read_files: list[str]
) -> None:
    whole = answers(root)[1]
    keys = [key for key in whole if key.encoder == "e"][3:-1]
    assert len(keys) >= receipt_cache.LEAST
    read_files.clear()
    found = open_store(str(root)).receipts(reversed(keys))
    assert list(found.items()) == [(key, whole[key]) for key in keys]
    assert not read_files


def test_files_that_have_just_changed_are_not_written_down(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_cache, "SETTLED_NS", 60 * 10**9)
    answers(root)
    assert not catalogue_of(root).exists()


def test_a_store_that_cannot_be_written_is_read(root: Path) -> None:
    (root / "cache").write_text("in the way")
    check(root, without_catalogue(root))


def test_an_unreadable_partition_is_told_and_the_others_are_kept(
    root: Path, read_files: list[str]
) -> None:
    path = root / "embeddings" / FOLDER / f"{name_of(1)}.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    store = open_store(str(root))
    for _ in range(2):
        read_files.clear()
        with pytest.raises(StoreError, match=rf"{name_of(1)}\.parquet: not readable"):
            store.slides()
    assert read_files == [path.name]
    path.write_bytes(data)
    check(root, without_catalogue(root))


def test_gc_may_remove_it(root: Path) -> None:
    first = answers(root)
    removed = open_store(str(root)).gc(older_than_s=-10)
    assert removed == [f"cache/catalogue/{FOLDER}.parquet"]
    check(root, first)


def test_writers_at_the_same_time_make_no_wrong_answer(root: Path) -> None:
    made_up = str(Path(__file__).parents[1] / "made_up.py")
    commands = [[sys.executable, "-c", WRITER, made_up, str(root), str(n)] for n in range(3)]
    writers = [subprocess.Popen(command) for command in commands]
    assert [writer.wait(200) for writer in writers] == [0, 0, 0]
    check(root, without_catalogue(root))
