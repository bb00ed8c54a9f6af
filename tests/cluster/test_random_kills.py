"""Twenty processes are killed at random moments; nothing is lost and not a bit changes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from histo_ray.cluster.run_extract import run_extract
from histo_ray.config import ExtractConfig
from histo_ray.store.store import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("shared_ray")]
ENCODER = "random:resnet18?seed=0"
KILLS = 20
SEED = 0
TITLES = {"reader": "ray::Reader", "encoder": "ray::EncoderWorker"}
TRIAL_S = 240

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]


@dataclass(frozen=True)
class Kill:
    """What was killed, when, and what it was doing."""

    kind: str
    after_s: float
    doing: str
    code: int


def workers(title: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(title)
    ]


def extract_and_kill(config: ExtractConfig, kind: str, delay_s: float) -> Kill:
    """Start a driver, wait until encoders work and then `delay_s`, kill, wait for the driver."""
    arguments = ["--manifest", config.manifest, "--store", config.store, "--encoder", ENCODER]
    flags = {"tile-px": config.tile_px, "batch-size": 16, "device": "cpu", "encoder-threads": 1}
    address = ray.get_runtime_context().gcs_address
    for name, value in {**flags, "address": address}.items():
        arguments += [f"--{name}", str(value)]
    with subprocess.Popen(
        [sys.executable, "-m", "histo_ray", "extract", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as driver:
        deadline = time.monotonic() + TRIAL_S
        while not workers(TITLES["reader"]) and driver.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(delay_s)
        doing = "had ended"
        if kind == "driver":
            if driver.poll() is None:
                doing = "at work"
                driver.send_signal(signal.SIGKILL)
        else:
            for process in workers(TITLES[kind])[:1]:
                doing = process.cmdline()[0].strip()
                os.kill(process.pid, signal.SIGKILL)
        told, _ = driver.communicate(timeout=TRIAL_S)
        assert b"Traceback" not in told, told.decode()
    while any(workers(title) for title in TITLES.values()):  # a dead driver's actors go, too
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return Kill(kind, delay_s, doing, driver.returncode)


@pytest.mark.timeout(3000)
def test_after_twenty_kills_at_random_moments_every_vector_is_bit_identical(
    make_config: MakeConfig, read_vectors: ReadVectors, tmp_path: Path
) -> None:
    calm = make_config(tmp_path / "calm", encoder=(ENCODER,))
    began = time.monotonic()
    run_extract(calm)
    usual_s = time.monotonic() - began
    expected = read_vectors(calm.store)
    chance = random.Random(SEED)
    kills: list[Kill] = []
    for trial in range(KILLS):
        config = make_config(tmp_path / f"store-{trial}", encoder=(ENCODER,))
        kind = ("reader", "encoder", "driver")[trial % 3]
        kills.append(extract_and_kill(config, kind, chance.uniform(0, usual_s)))
        print(f"{trial:>2} {kills[-1]}", flush=True)
        run_extract(config)
        assert read_vectors(config.store) == expected
        assert open_store(config.store).verify()[1] == []
    counts = Counter(kill.kind for kill in kills if kill.doing != "had ended")
    print(f"killed at work: {dict(counts)} of {KILLS}; calm run {usual_s:.1f} s")
    assert sum(counts.values()) >= KILLS / 2
