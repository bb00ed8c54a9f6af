"""The store's disk fills up, or becomes read-only, in the middle of a run on a real Ray."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from histo_ray.cli import main
from histo_ray.cluster.run_extract import run_extract
from histo_ray.config import ExtractConfig
from histo_ray.store.store import open_store
from tests.small_disk import SmallDisk, small_disk

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

GOOD = ("good-a", "good-b", "good-c")

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", kib=96) as disk:
        yield disk


def run_command(config: ExtractConfig, folder: Path) -> int:
    """The same run as a person starts it."""
    lines = [f"{name} = {value!r}" for name, value in config.model_dump(exclude_none=True).items()]
    text = "\n".join(line for line in lines if not line.endswith(("True", "False", "()")))
    (folder / "run.toml").write_text(text.replace("(", "[").replace(",)", "]"))
    return main(["extract", "--config", str(folder / "run.toml")])


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on stderr but those of progress."""
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if not line.startswith("extract: ")]


def assert_goes_on(config: ExtractConfig) -> None:
    """The store is whole, and the same command completes it."""
    assert open_store(config.store).verify()[1] == []
    summary = run_extract(config)
    assert {
        row.slide_id: row.outcome in ("done", "skipped") for row in summary.rows
    } == dict.fromkeys(GOOD, True)
    assert open_store(config.store).verify() == (len(GOOD), [])


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_with_one_line_and_a_rerun_completes_it(
    disk: SmallDisk,
    cohort: Any,
    make_config: MakeConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make_config(disk.path / "store", manifest=str(cohort.good))
    assert run_command(config, tmp_path) == 2
    (line,) = told(capsys)
    assert "No space left on device" in line
    assert "make room, and the same command finishes what is missing" in line
    disk.remount("size=16m")
    assert_goes_on(config)


@pytest.mark.slow
def test_a_disk_that_becomes_read_only_in_mid_run_ends_it_with_one_line(
    disk: SmallDisk,
    make_config: MakeConfig,
    cohort: Any,
    read_vectors: ReadVectors,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disk.remount("size=16m")
    slow = {"encoder": ("random:resnet18?seed=0",), "manifest": str(cohort.good)}
    config = make_config(disk.path / "store", **slow)

    def lock() -> None:
        deadline = time.monotonic() + 200
        while not list(disk.path.glob("store/embeddings/*/*/*.parquet")):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        disk.remount("ro")

    watcher = threading.Thread(target=lock)
    watcher.start()
    code = run_command(config, tmp_path)
    watcher.join()
    (line,) = told(capsys)
    assert code == 2
    assert "Read-only file system" in line
    disk.remount("rw")
    assert_goes_on(config)
    calm = config.model_copy(update={"store": str(tmp_path / "calm")})
    run_extract(calm)
    assert read_vectors(config.store) == read_vectors(calm.store)
