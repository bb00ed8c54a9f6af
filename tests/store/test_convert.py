"""A conversion loses nothing: not when it is killed, not when something is there already."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from histo_ray.errors import StoreError
from histo_ray.store import claim, convert, upload
from histo_ray.store.catalog import FORMATS
from histo_ray.store.claim import hold_claim
from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.partition import Tally
from histo_ray.store.store import Store, open_store
from histo_ray.types import PartitionKey, TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
COUNTS = {"S1": 41, "S2": 7, "S3": 0}
KEY = PartitionKey("e", "abc123", "S1")
OTHER: dict[Form, Form] = {"parquet": "zarr", "zarr": "parquet"}


def fill(store: Store, make_facts: MakeFacts, make_rows: MakeRows, form: Form) -> None:
    for seed, (slide_id, count) in enumerate(COUNTS.items()):
        facts = make_facts(slide_id, empty_reason="" if count else "no tissue")
        store.commit(facts.key, facts, make_rows(count, seed=seed), format=form)


def content(store: Store) -> dict[str, Any]:
    """Every partition that readers see, by slide: receipt, and digests of what its rows are now."""
    found = {}
    for key, receipt in store.receipts().items():
        tally = Tally()
        form: Form = (
            "parquet" if store._root.child(partition_path(key, "parquet")).kind() else "zarr"
        )
        for rows in FORMATS[form].read_rows(store._root.child(partition_path(key, form))):
            tally.add(rows)
        found[key.slide_id] = (receipt.model_dump_json(), tally.totals())
    return found


def path_of(store: Store, form: Form, slide_id: str = "S1") -> Path:
    return Path(store._root.child(partition_path(KEY._replace(slide_id=slide_id), form)).path)


@pytest.mark.parametrize("to", FORMS)
def test_a_half_deleted_folder_is_never_taken_for_the_replacement(
    store: Store, to: Form, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    """What a killed conversion leaves: files of the Zarr form without the root that counts."""
    fill(store, make_facts, make_rows, "parquet")
    before = content(store)
    half = path_of(store, "zarr")
    (half / "x/c").mkdir(parents=True)
    (half / "x/c/0").write_bytes(b"left over")
    assert store.convert(to).check() == (3 if to == "zarr" else 0)
    assert content(store) == before
    assert store.convert(OTHER[to]).check() == 3
    assert content(store) == before
    assert store.verify() == (3, [])


def test_a_run_stores_a_slide_where_a_half_deleted_folder_is(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    half = path_of(store, "zarr")
    half.mkdir(parents=True)
    (half / "notes").write_bytes(b"left over")
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(9), format="zarr")
    assert len(store.bag("S1", "e")) == 9
    assert store.verify() == (1, [])


@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize("damage", ["bit", "cut", "other content", "nonsense", "missing column"])
def test_a_target_that_is_not_the_same_is_named_and_nothing_is_deleted(
    store: Store, to: Form, damage: str, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    fill(store, make_facts, make_rows, OTHER[to])
    other = open_store(str(tmp_path / "other"), create=True)
    facts = make_facts("S1", run_id="run2" if damage == "other content" else "run1")
    seed = 5 if damage == "other content" else 0
    other.commit(facts.key, facts, make_rows(41, seed=seed), format=to)
    source, final = path_of(store, OTHER[to]), path_of(store, to)
    (shutil.copytree if to == "zarr" else shutil.copy)(path_of(other, to), final)
    vectors = final / "embedding/c/0/0" if to == "zarr" else final
    data = bytearray(vectors.read_bytes())
    if damage == "bit":
        at = data.index(other.bag("S1", "e").embeddings[3].tobytes())
        data[at] ^= 1
        vectors.write_bytes(data)
    elif damage == "cut":
        vectors.write_bytes(data[:-9])
    elif damage == "nonsense":
        (final / "zarr.json" if to == "zarr" else final).write_bytes(b"{}")
    elif damage == "missing column":
        shutil.rmtree(final / "focus") if to == "zarr" else vectors.write_bytes(b"")
    kept = [hash_of(source), hash_of(final)]
    with pytest.raises(StoreError, match=r"1 partitions were not converted and stay.*S1\.") as told:
        store.convert(to).check()
    assert ("the two differ" if damage == "other content" else "is damaged") in str(told.value)
    assert [hash_of(source), hash_of(final)] == kept
    assert path_of(store, to, "S2").exists()  # the others are converted all the same
    assert not path_of(store, OTHER[to], "S2").exists()


@pytest.mark.parametrize("to", FORMS)
def test_two_equal_forms_become_one(
    store: Store, to: Form, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    fill(store, make_facts, make_rows, OTHER[to])
    before = content(store)
    other = open_store(str(tmp_path / "other"), create=True)
    store.convert(to, other).check()
    (shutil.copytree if to == "zarr" else shutil.copy)(path_of(other, to), path_of(store, to))
    assert "one of them is enough" in "\n".join(store.verify()[1])
    done = store.convert(to)
    assert (done.written, done.dropped, done.problems) == (2, 1, [])
    assert not path_of(store, OTHER[to]).exists()
    assert content(store) == before
    assert store.verify() == (3, [])


@pytest.mark.parametrize("to", FORMS)
def test_a_damaged_source_is_kept_beside_its_sound_replacement(
    store: Store, to: Form, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    fill(store, make_facts, make_rows, OTHER[to])
    other = open_store(str(tmp_path / "other"), create=True)
    store.convert(to, other).check()
    (shutil.copytree if to == "zarr" else shutil.copy)(path_of(other, to), path_of(store, to))
    source = path_of(store, OTHER[to])
    vectors = source if to == "zarr" else source / "embedding/c/0/0"
    vectors.write_bytes(vectors.read_bytes()[:-4])
    problems = store.convert(to).problems
    assert len(problems) == 1
    assert "is damaged" in problems[0]
    assert source.exists()


@pytest.mark.parametrize("to", FORMS)
def test_an_export_to_another_store_never_touches_the_first(
    store: Store, to: Form, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    fill(store, make_facts, make_rows, OTHER[to])
    other = open_store(str(tmp_path / "other"), create=True)
    facts = make_facts("S1", run_id="run2")
    other.commit(facts.key, facts, make_rows(41, seed=5), format=to)
    same = make_facts("S2")
    other.commit(same.key, same, make_rows(7, seed=1), format=OTHER[to])  # that form will do
    kept = hash_of(tmp_path / "store/embeddings")
    before = content(other)
    done = store.convert(to, other)
    assert done.written == 1
    assert "the two differ" in "\n".join(done.problems)
    assert len(done.problems) == 1
    assert not path_of(other, to, "S2").exists()
    after = content(other)
    assert {name: after[name] for name in before} == before
    assert hash_of(tmp_path / "store/embeddings") == kept


def test_a_store_by_another_path_is_the_same_store(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    fill(store, make_facts, make_rows, "parquet")
    (tmp_path / "link").symlink_to(tmp_path / "store")
    assert store.convert("zarr", open_store(str(tmp_path / "link"))).check() == 3
    assert not path_of(store, "parquet").exists()


def test_two_conversions_at_once_are_refused(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    fill(store, make_facts, make_rows, "parquet")
    with (
        hold_claim(store._root, "convert", print, wait=False),
        pytest.raises(StoreError, match=r"process \d+ on .* is converting it; wait until that"),
    ):
        store.convert("zarr").check()
    assert store.convert("zarr").check() == 3
    assert store._root.child(".staging").names() == []


def test_a_partition_replaced_while_it_is_converted_stays(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, make_facts, make_rows, "parquet")
    find = convert.find_difference

    def replaced(task: Any, placed: bool) -> str:
        said = find(task, placed)
        if task.key == KEY:
            facts = make_facts("S1", run_id="newer")
            store.commit(KEY, facts, make_rows(12), replace=True)
        return said

    monkeypatch.setattr(convert, "find_difference", replaced)
    assert "replaced while it was converted" in "\n".join(store.convert("zarr").problems)
    assert store.read_receipt(KEY).run_id == "newer"
    assert len(store.bag("S1", "e")) == 12
    assert store.verify() == (3, [])


@pytest.mark.parametrize("to", FORMS)
def test_a_copy_that_reads_back_otherwise_is_taken_away_again(
    store: Store,
    to: Form,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that keeps other bytes than it was given."""
    fill(store, make_facts, make_rows, OTHER[to])
    before = content(store)
    publish: Any = convert.__dict__["publish"]

    def rotten(built: Path, target: Location, replace: bool = False) -> bool:
        done: bool = publish(built, target, replace)
        path = Path(target.path) / "embedding/c/0/0" if to == "zarr" else Path(target.path)
        if "S1." in target.path:
            path.write_bytes(path.read_bytes()[:-1] + b"\x00")
        return done

    monkeypatch.setattr(convert, "publish", rotten)
    assert "is damaged" in "\n".join(store.convert(to).problems)
    assert not path_of(store, to).exists()
    assert content(store) == before


def hash_of(path: Path) -> dict[str, bytes]:
    """Every file at or below a path and its bytes."""
    files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
    return {str(file): file.read_bytes() for file in files}


KILLED = """
import os, shutil, sys
import pyarrow.parquet, zarr
from histo_ray.store import convert
from histo_ray.store.store import open_store
from tests.store.test_convert import content

template, work, to, back = sys.argv[1:5]
every, step = sys.argv[5] == "every", 1
events = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"}
seen = 0

def hook(event, args):
    global seen
    paths = [str(a) for a in args if isinstance(a, (str, os.PathLike))]
    hidden = all(".staging/" in path or not path.startswith("/") for path in paths)
    if event in events and (every or not hidden):
        seen += 1
        if seen == stop:
            os._exit(9)

def run(job):
    pid = os.fork()
    if not pid:
        try:
            job()
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def killed():
    sys.addaudithook(hook)
    open_store(work).convert(to).check()

def check():
    store = open_store(work)
    whole = content(open_store(template))
    assert content(store) == whole, "after the kill"
    for form in (back, to):
        assert store.convert(form).problems == []
        assert content(store) == whole, form
    assert store.verify() == (len(whole), [])

stop = 1
while True:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(template, work)
    ended = run(killed)
    if ended == 1 or run(check):
        sys.exit(f"killed before step {stop}")
    if not ended:
        break
    stop += step
print(stop)
"""


@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize(
    "which", ["outside of staging", pytest.param("every", marks=pytest.mark.slow)]
)
def test_a_conversion_killed_before_any_step_loses_nothing(
    store: Store, to: Form, which: str, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
) -> None:
    """Each renaming, linking, deletion and new folder, as a kill that runs no clean-up."""
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(5), format=OTHER[to])
    arguments = [str(tmp_path / "store"), str(tmp_path / "work"), to, OTHER[to], which]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > (20 if which == "every" else 2)


class Killed(BaseException):
    """The process is gone: nothing cleans up behind it."""


@pytest.mark.parametrize("to", FORMS)
def test_on_an_object_store_nothing_is_lost_either(
    s3: str,
    to: Form,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed before an upload or a deletion; some of the first, and all of the last."""
    for patience in ("DEAD_S", "SETTLE_S", "LOOK_S"):  # a killed one's claim is soon over
        monkeypatch.setattr(claim, patience, 0.05)
    store = open_store(f"s3://bucket/convert-{to}/store", create=True)
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(5), format=OTHER[to])
    before = content(store)
    write, delete = upload._write, Location.delete
    steps = 0

    def convert_until(stop: int) -> None:
        """Convert; the process is gone before its step `stop`, counted from 1."""
        nonlocal steps
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1
            if steps >= stop:
                raise Killed

        def counted_write(*arguments: Any) -> None:
            count()
            write(*arguments)

        def counted_delete(place: Location) -> None:
            count()
            delete(place)

        with monkeypatch.context() as patch:
            patch.setattr(upload, "_write", counted_write)
            patch.setattr(Location, "delete", counted_delete)
            with contextlib.suppress(Killed):
                store.convert(to).check()

    convert_until(1 << 30)
    last = steps
    assert content(store) == before
    for stop in sorted({2, 3, last - 2, last - 1, last}):
        store.convert(OTHER[to]).check()
        convert_until(stop)
        for name in store._root.child(".staging").names():
            store._root.child(f".staging/{name}").delete()
        assert content(store) == before, stop
    assert store.convert(OTHER[to]).check() + store.convert(to).check() >= 1
    assert content(store) == before
    assert store.verify() == (1, [])


def test_a_conversion_is_told_as_json(store: Store) -> None:
    assert json.loads(json.dumps(store.convert("zarr")._asdict())) == {
        "written": 0,
        "dropped": 0,
        "problems": [],
    }
