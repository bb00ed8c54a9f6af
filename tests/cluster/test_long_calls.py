"""Calls of several batches, as on GPUs: the same vectors, whoever dies under them."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from histo_ray.cluster import run_extract as ray_run
from histo_ray.cluster.actors import EncoderWorker, Reader
from histo_ray.cluster.call_values import EncodeResult
from histo_ray.config import ExtractConfig
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.extract.encoder_plan import EncoderPlan
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.resources import Workers
from histo_ray.extract.run import run_extract
from histo_ray.extract.run_workers import plan_run_workers
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.store import open_store

ENCODERS = ("random:test_resnet?seed=0&px=32", "random:test_resnet?seed=1&px=32")
BATCH, BATCHES = 4, 5

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]


@pytest.fixture
def config(make_config: MakeConfig, tmp_path: Path) -> ExtractConfig:
    return make_config(tmp_path / "store", encoder=ENCODERS, batch_size=BATCH)


@pytest.mark.parametrize("stain", ["none", "reinhard"])
def test_a_long_read_is_that_of_its_batches(
    config: ExtractConfig, stain: str, tmp_path: Path
) -> None:
    config = config.model_copy(update={"stain": stain})
    slide = next(iter(read_manifest(config.manifest)))
    reader = Reader(config)
    plan, _ = reader.plan(slide)
    assert plan is not None
    assert len(plan.grid) > 3 * BATCH
    span = range(2, 3 * BATCH)  # its last step is a short one
    pixels, answer = reader.read(slide, plan, span, BATCH)
    parts = [reader.read(slide, plan, span[at : at + BATCH]) for at in range(0, len(span), BATCH)]
    assert np.array_equal(pixels, np.concatenate([part for part, _ in parts]))
    assert np.array_equal(answer.value, np.concatenate([part.value for _, part in parts]))


def test_a_long_call_of_an_encoder_is_that_of_its_batches(config: ExtractConfig) -> None:
    specs = resolve_encoders(config)
    worker = EncoderWorker(config, specs, EncoderPlan("cpu", "float32", 1, BATCH))
    names = [about.name for about in worker.load()]
    encode: Any = worker.encode  # arrays, and last a result
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 256, (n, 64, 64, 3), np.uint8) for n in (7, 3, 5)]
    rows = [slice(0, 7), slice(1, 3), slice(0, 5)]
    *vectors, result = encode(names, BATCH, rows, *blocks)
    assert isinstance(result, EncodeResult)
    assert [len(bad) for bad in result.value] == [14, 14]
    tiles = np.concatenate([block[own] for block, own in zip(blocks, rows, strict=True)])
    for name, found in zip(names, vectors, strict=True):
        parts = [
            encode([name], BATCH, [slice(None)], tiles[at : at + BATCH])[0]
            for at in range(0, 14, BATCH)
        ]
        assert np.array_equal(found, np.concatenate(parts))


def plan_long_calls(*arguments: Any) -> Workers:
    """The plan of a run, as if it were one on GPUs."""
    workers = plan_run_workers(*arguments)
    blocks = BATCHES * workers.blocks_in_flight
    return replace(workers, batches_a_call=BATCHES, blocks_in_flight=blocks)


def kill_when_seen(titles: list[str], killed: list[str]) -> None:
    """Kill a process of this test's own Ray at each of these calls."""
    deadline = time.monotonic() + 120
    while titles and time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                title = (process.cmdline() or [""])[0]
                if title in titles:
                    process.kill()
                    titles.remove(title)
                    killed.append(title)
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_long_calls_give_the_same_vectors_whatever_dies_under_them(
    config: ExtractConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = config.model_copy(update={"store": str(tmp_path / "alone"), "address": "none"})
    run_extract(alone, open_in_process)
    monkeypatch.setattr(ray_run, "plan_run_workers", plan_long_calls)
    killed: list[str] = []
    titles = ["ray::Reader.read", "ray::EncoderWorker.encode"]
    watcher = threading.Thread(target=kill_when_seen, args=(titles, killed))
    watcher.start()
    summary = ray_run.run_extract(config)
    titles.clear()
    watcher.join()
    assert "ray::Reader.read" in killed
    assert summary.counts.deaths >= 1
    assert summary.counts.tiles_encoded >= sum(row.n_tiles for row in summary.rows) // 2
    assert read_vectors(config.store) == read_vectors(alone.store)
    assert open_store(config.store).verify()[1] == []
