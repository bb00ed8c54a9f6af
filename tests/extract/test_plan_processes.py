import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.extract.plan_processes import Died, ProcessPool, count_cores


def settle() -> None:
    pass


def work(name: str, folder: str) -> str:
    """`crash`: the process dies; `once`: only the first time; `sleep`: it takes long."""
    mark = Path(folder) / name
    with mark.open("a") as file:
        file.write("x")
    if name == "crash" or (name == "once" and mark.stat().st_size == 1):
        time.sleep(0.3)  # the others are given out by now
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "sleep":
        time.sleep(60)
    if name == "refuse":
        raise ConfigError("no")
    return name.upper()


def test_a_task_whose_process_dies_is_lost_and_every_other_one_is_done(tmp_path: Path) -> None:
    names = ["a", "b", "crash", "c", "once", *"defghijk"]
    pool = ProcessPool(2, settle)
    try:
        found = dict(pool.map(work, [(name, str(tmp_path)) for name in names]))
    finally:
        pool.close()
    assert sorted(found) == list(range(len(names)))
    assert isinstance(found.pop(2), Died)
    assert found == {i: name.upper() for i, name in enumerate(names) if name != "crash"}
    assert (tmp_path / "crash").read_text() == "xxx"  # beside others, then twice alone


def test_what_a_task_raises_ends_the_work_at_once_and_no_process_stays(tmp_path: Path) -> None:
    pool = ProcessPool(2, settle)
    began = time.monotonic()
    try:
        with pytest.raises(ConfigError, match="no"):
            list(pool.map(work, [("sleep", str(tmp_path)), ("refuse", str(tmp_path))]))
    finally:
        pool.close()
    assert time.monotonic() - began < 40
    assert not multiprocessing.active_children()


def test_who_looks_can_end_the_work(tmp_path: Path) -> None:
    def look() -> None:
        raise ConfigError("weights are missing")

    pool = ProcessPool(1, settle)
    try:
        with pytest.raises(ConfigError, match="weights"):
            list(pool.map(work, [("sleep", str(tmp_path))], look))
    finally:
        pool.close()


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal\nfrom histo_ray.extract.plan_processes import ProcessPool\n"
        "from tests.extract.test_plan_processes import settle, work\n"
        "pool = ProcessPool(1, settle)\nfuture = pool.submit(os.getpid)\n"
        "print(future.result(), flush=True)\npool.submit(work, 'sleep', sys.argv[1]).result()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    while not (tmp_path / "sleep").exists():
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the process is still there")


def test_processes_have_the_environment_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ProcessPool(1, settle)
    pool.submit(os.getpid).result()  # the server has started, if it had not before
    pool.close()
    monkeypatch.setenv("HISTO_RAY_TEST_WORD", "now")
    assert pool.submit(os.getenv, "HISTO_RAY_TEST_WORD").result() == "now"
    pool.close()


def test_cores_are_those_of_the_affinity_and_of_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("histo_ray.extract.plan_processes._QUOTA", quota)
    for text, cores in (("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1), ("", 6)):
        quota.write_text(text)
        assert count_cores() == cores
    quota.unlink()
    assert count_cores() == 6
