"""Claims between real processes, and on a real S3-speaking server."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from histo_ray.errors import BusyError
from histo_ray.store import claim
from histo_ray.store.claim import CLAIMS, hold_claim
from histo_ray.store.location import location_of

HOLD = """
import sys, time
from histo_ray.store.claim import hold_claim
from histo_ray.store.location import location_of
with hold_claim(location_of(sys.argv[1]), "c", print, wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


def hold_elsewhere(store: Path) -> "subprocess.Popen[str]":
    """Another process that holds the claim."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == "held\n"
    return process


def test_a_claim_is_refused_while_its_holder_lives_and_free_once_it_was_killed(
    tmp_path: Path,
) -> None:
    root, other = location_of(str(tmp_path)), hold_elsewhere(tmp_path)
    try:
        with (
            pytest.raises(BusyError, match=f"process {other.pid} on "),
            hold_claim(root, "c", print, wait=False),
        ):
            pytest.fail("held twice")
        with hold_claim(root, "another", print, wait=False):
            pass
    finally:
        other.kill()
        other.wait()
    assert (tmp_path / CLAIMS / "c").exists()  # kill -9 leaves the file, but not the lock
    with hold_claim(root, "c", print, wait=False):
        assert (tmp_path / CLAIMS / "c").read_text().startswith(f"process {os.getpid()} on ")
    assert not (tmp_path / CLAIMS / "c").exists()


def test_who_waits_goes_on_when_the_holder_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "LOOK_S", 0.02)
    other, told = hold_elsewhere(tmp_path), list[str]()
    threading.Timer(0.3, other.kill).start()
    with hold_claim(location_of(str(tmp_path)), "c", told.append, wait=True):
        assert other.wait(5) < 0
    assert len(told) == 1
    assert f"process {other.pid} on " in told[0]


def test_many_at_once_hold_it_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "LOOK_S", 0.001)
    root, inside, most = location_of(str(tmp_path)), list[int](), list[int]()

    def work(number: int) -> None:
        for _ in range(5):
            with hold_claim(root, "c", lambda holder: None, wait=True):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (40, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_has_no_claims(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder belongs")
    with hold_claim(location_of(str(tmp_path)), "c", print, wait=False):
        pass


def test_on_an_object_store_a_claim_counts_while_its_holder_gives_signs_of_life(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_s = 60.0  # a holder that is slow is not taken for dead
    for name, seconds in {
        "REFRESH_S": 0.1,
        "LOOK_S": 0.05,
        "SETTLE_S": 0.1,
        "DEAD_S": long_s,
    }.items():
        monkeypatch.setattr(claim, name, seconds)
    root = location_of("s3://bucket/claims")
    with hold_claim(root, "c", print, wait=False):
        began = time.monotonic()
        with pytest.raises(BusyError), hold_claim(root, "c", print, wait=False):
            pytest.fail("held twice")
        assert time.monotonic() - began < long_s
    assert not root.child(f"{CLAIMS}/c").kind()
    said = b'{"token": "x", "holder": "process 1 on a machine that is gone"}'
    with root.system.open_output_stream(root.child(f"{CLAIMS}/c").path) as stream:
        stream.write(said)
    told = list[str]()
    monkeypatch.setattr(claim, "DEAD_S", 0.5)
    with hold_claim(root, "c", told.append, wait=True):  # nobody refreshes it
        assert told == ["process 1 on a machine that is gone"]
    assert not root.child(f"{CLAIMS}/c").kind()
