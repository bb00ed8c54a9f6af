"""Partitions through a server that fails, and from two processes at once."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage import clouds
from histo_ray.store.atomic_write import publish
from histo_ray.store.layout import FORMS, MARKER, Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.partition import join_rows
from histo_ray.store.store import open_store
from histo_ray.types import Outcome, RunRow, TileRows
from testing.object_server import FaultyServer
from tests.made_up import facts_of, rows_of

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]

QUICK = clouds.Patience(repeats=14, connect_s=2, silence_s=5, gs_limit_s=5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence of a server is noticed after a second."""
    monkeypatch.setattr(clouds, "WORK", QUICK)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("form", FORMS)
def test_a_store_behind_a_failing_server_is_the_same_store(
    faulty: FaultyServer, form: Form, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    store = open_store(f"s3://bucket/faults/{form}", create=True)
    faulty.set_faults(server_error=0.06, lost_answer=0.06, slow_down=0.05, drop=0.05, cut=0.05)
    for at in range(4):
        facts = make_facts(f"S{at}", dim=64)
        store.commit(facts.key, facts, make_rows(70 + at, 64), format=form)
    store.write_run("r1", [RunRow("S1", "e", Outcome.DONE, "", 71, 1.0)])
    bags = {at: store.bag(f"S{at}", "e") for at in range(4)}
    counts = faulty.counts()
    assert sum(counts.get(name, 0) for name in ("server_error", "lost_answer", "slow_down")) > 2
    for at, bag in bags.items():
        whole = join_rows(list(make_rows(70 + at, 64)))
        np.testing.assert_array_equal(bag.embeddings, whole.embeddings)
    faulty.set_faults()
    assert store.verify() == (4, [])


def test_an_upload_in_parts_survives_a_completion_whose_answer_is_lost(
    faulty: FaultyServer, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    """Asking again is answered by 404: the upload is no more. The object is sent anew."""
    store = open_store("s3://bucket/faults/lost", create=True)
    faulty.set_faults(lost_answer=0.5, only="POST.*uploadId", seed=0)
    lost = slides = 0
    while not lost and slides < 12:  # which answers are lost depends on all requests before
        facts = make_facts(f"s{slides}", dim=2048)
        store.commit(facts.key, facts, make_rows(3000, 2048, block=800))
        slides += 1
        lost = faulty.counts().get("lost_answer", 0)
    assert lost
    faulty.set_faults()
    assert store.verify() == (slides, [])


def test_a_partition_and_a_bag_cost_few_requests(
    faulty: FaultyServer, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    """An object store is slow by requests; the bounds are what was counted."""
    store = open_store("s3://bucket/faults/counts", create=True)
    facts = make_facts("S0", dim=64)
    faulty.set_faults()
    store.commit(facts.key, facts, make_rows(70, 64))
    written = faulty.counts()
    faulty.set_faults()
    assert len(store.bag("S0", "e")) == 70
    read = faulty.counts()
    assert written["requests"] <= 14
    assert read["requests"] <= 7


def test_a_refusal_is_not_asked_again_and_is_one_line(faulty: FaultyServer) -> None:
    store = open_store("s3://bucket/faults/refused", create=True)
    faulty.set_faults(forbidden=".")
    with pytest.raises(UnreachableError, match="access denied") as told:
        store.list_keys()
    assert "\n" not in str(told.value)
    assert faulty.counts()["requests"] == 1


@pytest.mark.usefixtures("quick")
def test_a_client_repeats_requests_all_its_life(faulty: FaultyServer) -> None:
    """pyarrow's own retry strategy stops after 100 repetitions."""
    store = open_store("s3://bucket/faults/long", create=True)
    faulty.set_faults(server_error=0.3)
    while faulty.counts().get("server_error", 0) < 130:
        assert store._root.kind() == "folder"


@pytest.mark.usefixtures("quick")
def test_a_small_read_is_repeated_too(faulty: FaultyServer) -> None:
    """The words of an error are longer than what is read; pyarrow alone gives up at once."""
    store = open_store("s3://bucket/faults/small", create=True)
    marker = store._root.child("store.json")
    whole = marker.read_bytes()
    assert len(whole) < 300
    faulty.set_faults(server_error=0.4, only="^GET")
    with marker.open() as file:
        for at in range(40):
            assert file.read_at(3, at) == whole[at : at + 3]
        file.seek(-7, 2)
        assert file.tell() == file.size() - 7
        assert (file.read(5), file.read()) == (whole[-7:-2], whole[-2:])
    assert faulty.counts()["server_error"] > 10


def test_a_lost_network_is_not_called_damage(
    faulty: FaultyServer,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store("s3://bucket/faults/network", create=True)
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(9))
    monkeypatch.setattr(clouds, "WORK", QUICK._replace(repeats=1))
    store = open_store("s3://bucket/faults/network")
    faulty.set_faults(drop=1.0, only=r"^GET.*\.parquet")
    with pytest.raises(UnreachableError, match=r"S1\.parquet: the server cannot be reached"):
        store.bag("S1", "e")


WRITER = """
import importlib.util, sys
from histo_ray.store.store import open_store
spec = importlib.util.spec_from_file_location("made", sys.argv[1])
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
uri, run, form, first, stop, seed = *sys.argv[2:5], *map(int, sys.argv[5:])
store = open_store(uri, create=True)
print("ready", flush=True)
sys.stdin.readline()
for at in range(first, stop):
    facts = made.facts_of(f"S{at}", dim=32, run_id=run)
    store.commit(facts.key, facts, made.rows_of(40, 32, seed=seed), format=form)
"""


def write_at_once(uri: str, form: str, parts: list[tuple[str, int, int, int]]) -> None:
    """Have processes write slides: (run, first, stop, seed) each, all starting together."""
    made = str(Path(__file__).parents[1] / "made_up.py")
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WRITER, made, uri, run, form, *map(str, numbers)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for run, *numbers in parts
        ]
        for writer in writers:
            stack.callback(writer.kill)
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
        assert [writer.wait(120) for writer in writers] == [0] * len(writers)


@pytest.mark.parametrize("remote", [False, True], ids=["local", "s3"])
@pytest.mark.parametrize("form", FORMS)
def test_two_processes_on_one_store_do_not_harm_each_other(
    s3: str, form: Form, remote: bool, tmp_path: Path
) -> None:
    uri = f"s3://bucket/faults/two-{form}" if remote else str(tmp_path / "store")
    write_at_once(uri, form, [("one", 0, 5, 0), ("two", 2, 7, 0)])
    store = open_store(uri)
    assert {key.slide_id for key in store.list_keys()} == {f"S{at}" for at in range(7)}
    assert store.verify() == (7, [])
    expected = join_rows(list(rows_of(40, 32, seed=0))).embeddings
    for at in range(7):
        np.testing.assert_array_equal(store.bag(f"S{at}", "e").embeddings, expected)


def test_a_folder_sent_by_two_machines_that_calculate_differently_is_one_of_theirs(
    faulty: FaultyServer, tmp_path: Path
) -> None:
    """The slower one finds the other's root before its own: files of both must not be mixed."""
    uri = "s3://bucket/faults/mixed"
    store = open_store(uri, create=True)
    key = facts_of("S1", dim=32).key
    target = store._root.child(partition_path(key, "zarr"))
    built = {}
    for run, seed in (("one", 1), ("two", 2)):
        mine = open_store(str(tmp_path / run), create=True)
        facts = facts_of("S1", dim=32, run_id=run)
        mine.commit(key, facts, rows_of(40, 32, seed=seed), format="zarr")
        built[run] = tmp_path / run / partition_path(key, "zarr")
    faulty.set_faults(latency_s=0.05)
    threads = [threading.Thread(target=publish, args=(built[run], target)) for run in built]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faulty.set_faults()
    assert store.verify() == (1, [])


def test_a_marker_that_another_run_makes_meanwhile_is_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(place: Location) -> list[str]:
        monkeypatch.undo()
        open_store(place.path, create=True)
        return place.names()

    (tmp_path / "store").mkdir()
    monkeypatch.setattr(Location, "names", names)
    assert open_store(str(tmp_path / "store"), create=True).list_keys() == set()
    assert MARKER in [path.name for path in (tmp_path / "store").iterdir()]


def test_a_stranger_s_folder_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(StoreError, match=r"holds other things \(thesis\.docx\)"):
        open_store(str(tmp_path), create=True)
