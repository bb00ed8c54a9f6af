"""The verdict on a run, at its borders."""

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.extract.bottleneck import Load, find_bottleneck
from histo_ray.extract.meter import Spent
from histo_ray.extract.run_counts import StartTimes

NOTHING = Spent()


def load(readers: float, encoders: float, **changes: Any) -> Load:
    """100 s of 7 readers and 2 encoders on GPUs, busy for these shares."""
    made = Load(
        startup_s=10,
        work_s=100,
        tiles=1000,
        cores=8,
        gpus=2,
        readers=7,
        encoders=2,
        threads=1,
        plan=NOTHING,
        read=Spent(busy_s=700 * readers),
        commit=NOTHING,
        encode=Spent(busy_s=200 * encoders),
        blocks_waiting=0.5,
        float32=False,
    )
    return dataclasses.replace(made, **changes)


def on_cores(readers: float, encoders: float, cpu_s: float, **changes: Any) -> Load:
    """100 s on 4 cores, where a reader a core and one encoder with 4 threads used `cpu_s`."""
    cores: dict[str, Any] = {"gpus": 0, "cores": 4, "readers": 4, "encoders": 1, "threads": 4}
    spent = Spent(busy_s=100 * encoders, cpu_s=cpu_s)
    read = Spent(busy_s=400 * readers)
    changes = cores | {"encode": spent, "read": read} | changes
    return dataclasses.replace(load(0, 0), **changes)


@pytest.mark.parametrize(
    ("readers", "encoders", "told"),
    [
        (0.98, 0.40, "reader-bound"),
        (0.30, 0.97, "encoder-bound"),
        (0.90, 0.70, "reader-bound"),
        (0.70, 0.90, "encoder-bound"),
        (0.90, 0.76, "balanced"),
        (0.76, 0.90, "balanced"),
        (0.97, 0.96, "balanced"),
        (0.55, 0.45, "balanced"),
        (0.49, 0.02, "latency-bound"),
        (0.02, 0.49, "latency-bound"),
        (0.51, 0.02, "reader-bound"),
        (0.02, 0.51, "encoder-bound"),
    ],
)
def test_the_side_that_is_clearly_busier_is_the_limit(
    readers: float, encoders: float, told: str
) -> None:
    assert find_bottleneck(load(readers, encoders)).bottleneck == told


def test_a_run_that_took_longer_to_start_than_to_work_is_told_so() -> None:
    short = load(0.98, 0.40, startup_s=100.0)
    verdict = find_bottleneck(short)
    assert verdict.bottleneck == "start-up-bound"
    assert "100 s of 200 s went into starting Ray, processes and encoders, " in verdict.hint
    timed = dataclasses.replace(short, start=StartTimes(60.0, 15.0, 24.96))
    assert "starting Ray (60.0 s), processes (15.0 s) and encoders (25.0 s), " in (
        find_bottleneck(timed).hint
    )
    longer = dataclasses.replace(short, startup_s=99.0)
    assert find_bottleneck(longer).bottleneck == "reader-bound"


def test_a_run_without_a_tile_has_no_bottleneck() -> None:
    assert find_bottleneck(load(1, 0, tiles=0)).bottleneck == "none"
    assert find_bottleneck(load(1, 0, tiles=0, work_s=0)).hint == "no tile was encoded"


@pytest.mark.parametrize(
    ("made", "advice"),
    [
        (load(1.0, 0.9), "add readers and GPUs together"),
        (load(1.0, 0.5, cores=14), "about --readers 14 keep them busy"),
        (load(1.0, 0.5, cores=13), "about 14 reader cores keep them busy, add nodes"),
        (load(0, 0.5, commit=Spent(busy_s=650), read=Spent(busy_s=50)), "93% of it writing part"),
        (load(0, 0.5, plan=Spent(busy_s=400), read=Spent(busy_s=300)), "57% of it finding tissue"),
        (load(0, 0.5, read=Spent(busy_s=700, storage_s=350)), "storage 50% .*--readers 14"),
        (load(0.3, 0.9), "could feed about 6 of them"),
        (load(0.7, 0.9), "add one, or take a smaller encoder"),
        (load(0.3, 0, encode=Spent(200, device_s=119)), r"GPUs 60%: .*\(--encoder-workers 4\)"),
        (load(0.3, 0, encode=Spent(200, device_s=121)), "GPUs 60%: GPUs are the limit"),
        (load(0.3, 0.2, blocks_waiting=2), "slow to arrive"),
        (load(0.3, 0.2, blocks_waiting=1.9), "give one run more slides"),
        (on_cores(0.3, 0.99, 330), r"share 4 cores, which are the limit \(82% busy\)"),
        (on_cores(0.3, 0.99, 310), "of which they got 78%"),
        (on_cores(0.3, 0.99, 100, threads=2), "have 2 of 4 cores; raise --encoder-threads to 4"),
        (on_cores(0.99, 0.5, 399), r"readers are the limit; both share .*\(100% busy\)"),
        (on_cores(0.9, 0.95, 399), "take more cores, or a GPU$"),
        (on_cores(0.9, 0.95, 399, float32=True), "or --engine openvino --precision bfloat16 where"),
    ],
)
def test_the_hint_says_what_to_change(made: Load, advice: str) -> None:
    assert re.search(advice, find_bottleneck(made).hint)


share = st.floats(0, 1)


@given(share, share, st.floats(0, 200), st.floats(0, 200), st.integers(0, 4), share)
def test_every_run_gets_one_sentence_and_shares_never_pass_the_whole(
    readers: float, encoders: float, startup: float, work: float, gpus: int, waiting: float
) -> None:
    made = load(readers, encoders, startup_s=startup, work_s=work, gpus=gpus)
    made = dataclasses.replace(made, blocks_waiting=waiting)
    verdict = find_bottleneck(made)
    assert verdict.hint
    assert "\n" not in verdict.hint
    for value in (made.reader_busy, made.encoder_busy, made.gpu_busy, made.cores_busy):
        assert 0 <= value <= 1
