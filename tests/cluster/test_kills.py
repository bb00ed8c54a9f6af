"""Processes are killed in mid-run; what is in the store afterwards is what it would have been."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from ray import cloudpickle

from histo_ray.cluster import pool
from histo_ray.cluster.actors import Reader
from histo_ray.cluster.call_values import SharedSubject
from histo_ray.cluster.run_extract import run_extract
from histo_ray.config import ExtractConfig
from histo_ray.extract import run
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.meter import CallResult
from histo_ray.extract.slide import SubjectPlan
from histo_ray.extract.subject import Subject
from histo_ray.store.store import open_store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]
SLOW_ENCODER = "random:resnet18?seed=0&px=128"
"""Slow enough on small tiles that a process can be caught at work."""

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]


@pytest.fixture(scope="module")
def undisturbed(
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Any, bytes]:
    """Vectors of a run that nothing disturbed, in this process: those of Ray are the same bits."""
    config = make_config(tmp_path_factory.mktemp("calm") / "store", encoder=(SLOW_ENCODER,))
    run.run_extract(config, open_in_process)
    return read_vectors(config.store)


def kill_one(titles: list[str], killed: list[int]) -> None:
    """Kill the first process of this test's own Ray that is seen at one of these calls."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if (process.cmdline() or [""])[0] in titles:
                    process.kill()
                    killed.append(process.pid)
                    return
        time.sleep(0.005)


def has_partition(store: Path, driver: int) -> bool:
    """Whether a slide is in the store: others are on their way."""
    return bool(list(store.glob("embeddings/*/*/good*.parquet")))


def has_encoder(store: Path, driver: int) -> bool:
    """Whether the driver has an encoder's process: the run has begun, and has seconds to go."""
    for process in psutil.Process(driver).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if (process.cmdline() or [""])[0].startswith("ray::EncoderWorker"):
                return True
    return False


class DyingReader(Reader):
    """A reader that is killed with the tiles of its first block in its hands, once in a run."""

    def read(
        self, sent: Subject | SharedSubject, plan: SubjectPlan, span: range, step: int = 0
    ) -> tuple[npt.NDArray[np.uint8], CallResult]:
        block = super().read(sent, plan, span, step)
        with contextlib.suppress(FileExistsError):
            (Path(self._settings.store).parent / "killed").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return block


def test_a_killed_reader_costs_the_work_in_flight_and_nothing_else(
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
    first_vectors: dict[Any, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    monkeypatch.setattr(pool, "Reader", DyingReader)
    summary = run_extract(make_config(tmp_path / "store"))
    assert (tmp_path / "killed").exists()
    assert summary.counts.deaths >= 1
    assert read_vectors(tmp_path / "store") == first_vectors
    assert open_store(str(tmp_path / "store")).verify()[1] == []


@pytest.mark.slow
def test_a_killed_encoder_costs_the_work_in_flight_and_nothing_else(
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
    undisturbed: dict[Any, bytes],
) -> None:
    killed: list[int] = []
    watcher = threading.Thread(target=kill_one, args=(["ray::EncoderWorker.encode"], killed))
    watcher.start()
    summary = run_extract(make_config(tmp_path / "store", encoder=(SLOW_ENCODER,)))
    watcher.join()
    assert killed
    assert summary.counts.deaths >= 1
    assert read_vectors(tmp_path / "store") == undisturbed
    assert open_store(str(tmp_path / "store")).verify()[1] == []


@pytest.mark.parametrize(
    ("kind", "code", "is_time"),
    [(signal.SIGKILL, -9, has_partition), (signal.SIGINT, 130, has_encoder)],
    ids=["killed", "interrupted"],
)
def test_a_driver_that_ends_early_leaves_a_store_that_a_rerun_completes(
    kind: signal.Signals,
    code: int,
    is_time: Callable[[Path, int], bool],
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
    undisturbed: dict[Any, bytes],
) -> None:
    config = make_config(tmp_path / "store", encoder=(SLOW_ENCODER,))
    run_file = tmp_path / "run.toml"
    lines = [f"{name} = {value!r}" for name, value in config.model_dump(exclude_none=True).items()]
    text = "\n".join(line for line in lines if not line.endswith(("True", "False", "()")))
    run_file.write_text(text.replace("(", "[").replace(",)", "]"))
    with subprocess.Popen(
        [sys.executable, "-m", "histo_ray", "extract", "--config", str(run_file)],
        env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 200
        while not is_time(tmp_path / "store", process.pid):
            assert process.poll() is None, "it ended before it was stopped"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(kind)
        _, errors = process.communicate(timeout=200)
    assert process.returncode == code
    assert b"Traceback" not in errors
    summary = run.run_extract(config, open_in_process)
    assert {row.outcome for row in summary.rows} <= {"done", "skipped", "empty", "failed"}
    assert read_vectors(tmp_path / "store") == undisturbed
    assert open_store(str(tmp_path / "store")).verify()[1] == []


class PoisonedReader(Reader):
    """A reader whose process dies on one slide, as a crashing decoder would have it."""

    def plan(self, sent: Subject | SharedSubject) -> tuple[SubjectPlan | None, CallResult]:
        if sent.slide_id == "good-b":
            os._exit(1)
        return super().plan(sent)


def test_a_slide_that_kills_its_readers_fails_and_the_others_are_done(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    monkeypatch.setattr(pool, "Reader", PoisonedReader)
    summary = run_extract(make_config(tmp_path / "store"))
    rows = {row.slide_id: row for row in summary.rows}
    assert rows["good-b"].outcome == "failed"
    assert "the process that tried to plan it died 3 times" in rows["good-b"].reason
    assert rows["good-a"].outcome == rows["good-c"].outcome == "done"


@pytest.mark.slow
def test_an_encoder_that_is_killed_while_it_loads_is_loaded_again(
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
    undisturbed: dict[Any, bytes],
) -> None:
    killed: list[int] = []
    watcher = threading.Thread(target=kill_one, args=(["ray::EncoderWorker.load"], killed))
    watcher.start()
    run_extract(make_config(tmp_path / "store", encoder=(SLOW_ENCODER,)))
    watcher.join()
    assert killed
    assert read_vectors(tmp_path / "store") == undisturbed
