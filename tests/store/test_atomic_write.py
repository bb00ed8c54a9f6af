"""Partitions appear whole or not at all, also when their writer is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from histo_ray.store.atomic_write import publish, stage, write_bytes
from histo_ray.store.layout import FORMS, STAGING, Form, partition_path
from histo_ray.store.location import location_of
from histo_ray.store.store import Store, open_store
from histo_ray.types import TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]

WRITER = """
import importlib.util, itertools, os, signal, sys
from histo_ray.store.store import open_store
spec = importlib.util.spec_from_file_location("made", sys.argv[1])
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
store = open_store(sys.argv[2])
form, after = sys.argv[3], int(sys.argv[4])

def rows(seed):
    for number, block in enumerate(made.rows_of(2000, 64, seed=seed, block=100)):
        if number == after:
            os.kill(os.getpid(), signal.SIGKILL)
        yield block

for number in itertools.count():
    facts = made.facts_of(f"S{number}", dim=64)
    store.commit(facts.key, facts, rows(number), format=form)
    print("one more", flush=True)
"""


def start_writer(root: str, form: Form, die_after: int) -> "subprocess.Popen[bytes]":
    """A process that commits slide after slide; kills itself after some blocks of the first."""
    made = str(Path(__file__).parents[1] / "made_up.py")
    command = [sys.executable, "-c", WRITER, made, root, form, str(die_after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.parametrize("form", FORMS)
def test_a_writer_killed_between_rows_leaves_nothing_visible(
    form: Form, tmp_path: Path, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    root = tmp_path / "store"
    store = open_store(str(root), create=True)
    with start_writer(str(root), form, die_after=15) as writer:
        assert writer.wait(60) == -signal.SIGKILL
    assert store.list_keys() == set()
    assert store.verify() == (0, [])
    assert len(store.gc(older_than_s=0)) == 1
    assert list((root / STAGING).iterdir()) == []
    facts = make_facts("S0", dim=64)
    store.commit(facts.key, facts, make_rows(2000, 64), format=form)
    assert store.verify() == (1, [])


@pytest.mark.parametrize("form", FORMS)
def test_a_writer_killed_at_any_moment_leaves_whole_partitions(form: Form, tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = open_store(str(root), create=True)
    for moment in (0.04, 0.11, 0.23):
        with start_writer(str(root), form, die_after=-1) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"one more\n"
            time.sleep(moment)
            writer.kill()
        keys = store.list_keys()
        assert keys
        assert store.verify() == (len(keys), [])


def test_an_exception_in_the_rows_leaves_nothing(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    def broken() -> Iterator[TileRows]:
        yield from make_rows(50)
        raise RuntimeError("the slide went bad")

    facts = make_facts()
    for form in FORMS:
        with pytest.raises(RuntimeError, match="went bad"):
            store.commit(facts.key, facts, broken(), format=form)
    assert not store.exists(facts.key)
    assert store.gc(older_than_s=0) == []


@pytest.mark.parametrize("form", FORMS)
def test_the_faster_of_two_writers_wins(
    store: Store, form: Form, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    first, second = make_facts(run_id="first"), make_facts(run_id="second")

    def overtaken() -> Iterator[TileRows]:
        yield from make_rows(40)
        store.commit(first.key, first, make_rows(40), format=form)

    receipt = store.commit(second.key, second, overtaken(), format=form)
    assert receipt.run_id == "first"
    assert store.read_receipt(second.key).run_id == "first"
    assert store.verify() == (1, [])
    assert store.gc(older_than_s=0) == []


@pytest.mark.parametrize("form", FORMS)
def test_replacing_overwrites(
    store: Store, form: Form, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    other: Form = "zarr" if form == "parquet" else "parquet"
    for run, written in (("one", form), ("two", form), ("three", other)):
        facts = make_facts(run_id=run)
        receipt = store.commit(facts.key, facts, make_rows(9), format=written, replace=True)
        assert receipt.run_id == store.read_receipt(facts.key).run_id == run
        assert store.verify() == (1, [])
    assert list(store.slides()["format"]) == [other]


def test_without_hard_links_a_file_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    root = location_of(str(tmp_path))
    assert write_bytes(root, "deep/down/a", b"1", replace=False)
    assert not write_bytes(root, "deep/down/a", b"2", replace=False)
    assert (tmp_path / "deep/down/a").read_bytes() == b"1"


def test_staging_is_on_the_stores_own_disk(tmp_path: Path) -> None:
    root = location_of(str(tmp_path))
    with stage(root) as folder:
        assert folder.parent == tmp_path / STAGING
        (folder / "x").write_bytes(b"abc")
        assert publish(folder / "x", root.child("y"))
    assert not folder.exists()
    assert (tmp_path / "y").read_bytes() == b"abc"


MEASURE = """
import importlib.util, resource, sys
from histo_ray.store.store import open_store
spec = importlib.util.spec_from_file_location("made", sys.argv[1])
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
store = open_store(sys.argv[2], create=True)
for name, count in (("warm", 40_000), ("large", 110_000)):
    facts = made.facts_of(name, dim=768)
    store.commit(facts.key, facts, made.rows_of(count, 768, block=512), format=sys.argv[3])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_slide(form: Form, tmp_path: Path) -> None:
    made = str(Path(__file__).parents[1] / "made_up.py")
    command = [sys.executable, "-c", MEASURE, made, str(tmp_path / "s"), form]
    environment = os.environ | {"MALLOC_ARENA_MAX": "2"}  # else each thread keeps its own spare
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    small, large = map(int, out.stdout.split())
    assert large - small < 32 << 10  # KiB; the vectors of the large one are 161 MiB


def test_a_partition_is_where_its_path_says(
    store: Store, tmp_path: Path, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(3))
    path = tmp_path / "store" / partition_path(facts.key, "parquet")
    assert path.stat().st_mode & 0o444 == 0o444 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
