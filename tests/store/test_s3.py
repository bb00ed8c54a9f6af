"""The store on a real S3-speaking server, also when uploads fail or are killed."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.errors import StoreError
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.storage import clouds, locate
from histo_ray.store import receipt_cache, tile_segments, upload
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.location import location_of
from histo_ray.store.partition import join_rows
from histo_ray.store.run_tables import list_runs, read_run
from histo_ray.store.store import Store, open_store
from histo_ray.types import Outcome, PartitionKey, RunRow, TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]


def uri_of(request: pytest.FixtureRequest) -> str:
    return f"s3://bucket/{abs(hash(request.node.name))}/store"


@pytest.fixture
def remote(s3: str, request: pytest.FixtureRequest) -> Store:
    """A fresh store on the server."""
    return open_store(uri_of(request), create=True)


def test_everything_works_on_an_object_store(
    remote: Store, make_facts: MakeFacts, make_rows: MakeRows, request: pytest.FixtureRequest
) -> None:
    counts = {"S1": 90, "S2": 7, "S3": 0}
    for slide_id, count in counts.items():
        for encoder, form in (("e", "parquet"), ("z", "zarr")):
            reason = "" if count else "no tissue"
            facts = make_facts(slide_id, encoder, dim=64, empty_reason=reason)
            rows = make_rows(count, 64)
            remote.commit(facts.key, facts, rows, format=form)  # type: ignore[arg-type]
    assert len(remote.list_keys()) == 6
    assert list(remote.slides().n_tiles) == [90, 7, 0] * 2
    whole = join_rows(list(make_rows(90, 64)))
    for encoder in ("e", "z"):
        bag = remote.bag("S1", encoder)
        np.testing.assert_array_equal(bag.embeddings, whole.embeddings)
        np.testing.assert_array_equal(bag.coords, whole.coords)
    assert pool_matrix(remote, "e", by="patient").equals(pool_matrix(remote, "e", by="patient"))
    assert remote.verify() == (6, [])
    record = RunRecord(
        run_id="r1",
        state=ExtractionState.FINISHED,
        began_at="",
        encoders=("e",),
        outcomes={},
        slides=1,
    )
    remote.write_run("r1", [RunRow("S1", "e", Outcome.DONE, "", 90, 1.0)], record)
    assert list_runs(uri_of(request), 9) == ([record], [], 0)
    assert read_run(uri_of(request), "r1")[0] == record
    query = "select encoder, slide_id, count(*) from embeddings group by all order by all"
    assert remote.sql(query).fetchall() == [
        (encoder, slide_id, counts[slide_id]) for encoder in "ez" for slide_id in ("S1", "S2")
    ]
    assert remote.sql("select run_id, n_tiles from runs").fetchall() == [("r1", 90)]
    assert remote.convert(to="parquet").check() == 3
    assert remote.verify() == (6, [])
    assert remote.convert(to="zarr").check() == 6
    assert remote.verify() == (6, [])
    assert remote.gc() == []


def test_the_table_of_tiles_is_kept_on_an_object_store(
    remote: Store, make_facts: MakeFacts, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_segments, "LEAST", 2)
    monkeypatch.setattr(tile_segments, "SETTLED_NS", -(10**11))
    for slide_id, form in (("S1", "parquet"), ("S2", "parquet"), ("S3", "zarr")):
        facts = make_facts(slide_id)
        remote.commit(facts.key, facts, make_rows(5), format=form)  # type: ignore[arg-type]
    query = "select slide_id, count(*) from embeddings group by 1 order by 1"
    assert remote.sql(query).fetchall() == [("S1", 5), ("S2", 5), ("S3", 5)]
    names = remote.root.child("cache/tiles/encoder=e/tiling=abc123").names()
    assert [name.rpartition(".")[2] for name in names] == ["index", "parquet"]
    facts = make_facts("S1")
    remote.commit(facts.key, facts, make_rows(800), replace=True)
    assert remote.sql(query).fetchall() == [("S1", 800), ("S2", 5), ("S3", 5)]
    script = remote.view_script()
    assert f"s3://{remote.root.path}/embeddings/*/*/*.parquet" in script
    assert "extension httpfs" in script


def test_the_catalogue_is_kept_on_an_object_store(
    remote: Store, make_facts: MakeFacts, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_cache, "LEAST", 2)
    monkeypatch.setattr(receipt_cache, "SETTLED_NS", -(10**11))
    for slide_id, form in (("S1", "parquet"), ("S2", "parquet"), ("S3", "zarr")):
        facts = make_facts(slide_id)
        remote.commit(facts.key, facts, make_rows(5), format=form)  # type: ignore[arg-type]
    first = remote.receipts()
    (name,) = remote._root.child("cache/catalogue/encoder=e").names()
    with monkeypatch.context() as patch:
        patch.setattr(receipt_cache, "_read_text", None)  # no file is read
        assert remote.receipts() == first
        assert list(remote.slides().slide_id) == ["S1", "S2", "S3"]
    facts = make_facts("S1")
    remote.commit(facts.key, facts, make_rows(800), replace=True)
    assert list(remote.slides().n_tiles) == [800, 5, 5]
    remote._root.child(f"cache/catalogue/encoder=e/{name}").delete()
    assert list(remote.slides().n_tiles) == [800, 5, 5]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_is_kept_or_replaced(
    remote: Store, form: Form, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    for run, replace, kept in (("one", False, "one"), ("two", False, "one"), ("six", True, "six")):
        facts = make_facts(run_id=run)
        receipt = remote.commit(facts.key, facts, make_rows(9), format=form, replace=replace)
        assert receipt.run_id == remote.read_receipt(facts.key).run_id == kept
    assert remote.verify() == (1, [])


def test_a_zarr_partition_without_its_root_is_not_there(
    remote: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts()
    remote.commit(facts.key, facts, make_rows(9), format="zarr")
    root = remote._root.child(partition_path(facts.key, "zarr")).child("zarr.json")
    root.system.delete_file(root.path)
    assert not remote.exists(facts.key)
    assert remote.list_keys() == set()
    assert "left by a crashed run" not in "\n".join(remote.verify()[1])  # it may be at work still
    assert remote.gc(older_than_s=-5) == [partition_path(facts.key, "zarr")]
    assert remote.verify() == (0, [])


class Proxy(socketserver.ThreadingTCPServer):
    """Passes bytes on to the server, but for a request that it drops, or a point where it stops."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, endpoint: str, drop: bytes = b"", stop_after: int = 1 << 60) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        host, port = endpoint.removeprefix("http://").split(":")
        self.server = (host, int(port))
        self.drop, self.left = drop, stop_after
        self.stopped, self.dropped = threading.Event(), 0
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Relay(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        with socket.create_connection(self.server.server) as upstream:
            back = threading.Thread(target=copy, args=(upstream, self.request), daemon=True)
            back.start()
            while data := receive(self.request):
                self.server.left -= len(data)
                if self.server.drop and self.server.drop in data:
                    self.server.dropped += 1
                    break
                if self.server.left < 0:
                    self.server.stopped.set()
                    threading.Event().wait(20)
                    break
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_RDWR)
            self.request.close()


def receive(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 16)
    except OSError:
        return b""


def copy(source: socket.socket, target: socket.socket) -> None:
    while data := receive(source):
        try:
            target.sendall(data)
        except OSError:
            return


@pytest.fixture
def proxied(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Proxy]]:
    """Starts a proxy and has the environment point to it."""
    started: list[Proxy] = []

    def start(**options: Any) -> Proxy:
        proxy = Proxy(s3, **options)
        started.append(proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        return proxy

    yield start
    for proxy in started:
        proxy.shutdown()
        proxy.server_close()


@pytest.mark.parametrize("form", FORMS)
def test_an_upload_with_a_lost_part_is_never_completed(
    remote: Store,
    proxied: Callable[..., Proxy],
    form: Form,
    make_facts: MakeFacts,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other parts arrive and completing them would succeed: it must not be tried."""
    monkeypatch.setattr(clouds, "WORK", clouds.HURRY._replace(repeats=1))
    monkeypatch.setattr(upload, "UPLOADS", 2)
    proxy = proxied(drop=b"partNumber=2")
    flaky = open_store(f"s3://{remote._root.path}")
    facts = make_facts(dim=2048)
    with pytest.raises(StoreError, match=r"upload failed.*run the command again"):
        flaky.commit(facts.key, facts, make_rows(6200, 2048, block=800), format=form)
    assert proxy.dropped > 0
    assert remote.list_keys() == set()
    listed = remote._root.child("embeddings").walk()
    assert not [info for info in listed if info.size > 1 << 20 and info.path.endswith("parquet")]
    remote.commit(facts.key, facts, make_rows(6200, 2048, block=800), format=form)
    assert remote.verify() == (1, [])


WRITER = """
import importlib.util, sys
from histo_ray.store.store import open_store
spec = importlib.util.spec_from_file_location("made", sys.argv[1])
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
store = open_store(sys.argv[2])
facts = made.facts_of(dim=2048)
store.commit(facts.key, facts, made.rows_of(6200, 2048, block=800), format=sys.argv[3])
"""


@pytest.mark.parametrize("form", FORMS)
def test_an_upload_whose_process_is_killed_leaves_nothing(
    remote: Store, proxied: Callable[..., Proxy], form: Form, tmp_path: Path
) -> None:
    proxy = proxied(stop_after=14 << 20)
    made = str(Path(__file__).parents[1] / "made_up.py")
    command = [sys.executable, "-c", WRITER, made, f"s3://{remote._root.path}", form]
    environment = os.environ | {"TMPDIR": str(tmp_path)}  # what it leaves goes with the test
    with subprocess.Popen(command, env=environment) as writer:
        assert proxy.stopped.wait(250)
        writer.send_signal(signal.SIGKILL)
    assert remote.list_keys() == set()
    assert not remote.exists(PartitionKey("e", "abc123", "S1"))


def test_a_process_that_used_an_object_store_ends(s3: str) -> None:
    code = (
        "import sys; from histo_ray.store.store import open_store; print(open_store(sys.argv[1]))"
    )
    uri = "s3://bucket/ends"
    open_store(uri, create=True)
    out = subprocess.run(
        [sys.executable, "-c", code, uri], capture_output=True, text=True, timeout=60, check=True
    )
    assert out.stdout == "Store('bucket/ends')\n"
    assert out.stderr == ""


def test_pyarrow_completes_an_upload_that_an_exception_ended(s3: str) -> None:
    """Why `publish` hands over all bytes in one call: if this fails, it may be made simpler."""
    system, path = locate("s3://bucket/half")
    stream = system.open_output_stream(path)
    stream.write(b"half of it")
    with pytest.raises(RuntimeError), stream:
        raise RuntimeError
    assert location_of("s3://bucket/half").read_bytes() == b"half of it"
