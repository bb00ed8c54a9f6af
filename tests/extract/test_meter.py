"""What processes spend is counted once, and told once."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from histo_ray.extract.meter import Meter, Spent
from histo_ray.extract.metric_samples import METRICS, Sampler, at_rest
from histo_ray.extract.resources import Node, Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.usage import Busy, measure_load, share_since
from histo_ray.slides.direct.traffic import FETCHED

NODES = [Node(4, 0, 1, node_id="n1"), Node(8, 2, 1, node_id="n2")]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time as the test says."""
    now = SimpleNamespace(wall=100.0, cpu=7.0)
    monkeypatch.setattr(time, "perf_counter", lambda: now.wall)
    monkeypatch.setattr(time, "process_time", lambda: now.cpu)
    monkeypatch.setattr(time, "monotonic", lambda: now.wall)
    return now


def test_each_answer_tells_what_came_since_the_last_one(clock: Any) -> None:
    meter = Meter()
    clock.cpu += 50  # imports, weights: nobody's work
    with meter.work():
        clock.wall += 3
        clock.cpu += 2
        FETCHED.add(1000, 0.5)
    first = meter.result("a")
    assert first == ("a", Spent(busy_s=3, cpu_s=2, storage_s=0.5, file_bytes=1000))
    clock.wall += 10  # idle
    with meter.work():
        clock.wall += 1
    assert meter.result("b", device_s=0.25).spent == Spent(busy_s=1, device_s=0.25)
    assert meter.result("c", device_s=0.25).spent == Spent()


def test_an_answer_given_at_work_tells_the_work_so_far_and_the_rest_later(clock: Any) -> None:
    meter = Meter()
    with meter.work():
        clock.wall += 2
        assert meter.result(None).spent.busy_s == 2
        clock.wall += 1
    assert meter.result(None).spent.busy_s == 1


def test_a_call_that_fails_was_work_too(clock: Any) -> None:
    meter = Meter()

    def fail() -> None:
        with meter.work():
            clock.wall += 2
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert meter.result(None).spent.busy_s == 2


def test_threads_at_work_at_once_count_once(clock: Any) -> None:
    meter, inside, leave = Meter(), threading.Event(), threading.Event()

    def other() -> None:
        with meter.work():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with meter.work():
        clock.wall += 1
        thread.start()
        inside.wait(60)
        clock.wall += 2  # both
    clock.wall += 4  # the other one alone
    leave.set()
    thread.join()
    clock.wall += 8  # nobody
    assert meter.result(None).spent.busy_s == 7


def test_waiting_blocks_are_averaged_over_time_not_over_turns(clock: Any) -> None:
    counts = Counts(1)
    counts.turn(0)
    clock.wall += 1
    counts.turn(10)
    for _ in range(5):
        counts.turn(10)  # quick turns weigh nothing
    clock.wall += 3
    counts.turn(0)
    clock.wall += 6
    counts.turn(0)
    load = measure_load(counts, [], [], workers(), NODES, 1.5, False)
    assert (load.work_s, load.blocks_waiting, load.startup_s) == (10, 3, 1.5)


def workers(gpus: float = 0.5) -> Workers:
    return Workers(3, 1, 0, 4, 0, gpus, 2, 128, 9)


def process(node: str, since: float = 0.0, **spent: Spent) -> Any:
    return SimpleNamespace(node=node, spent=spent, since=since)


def test_the_load_is_what_all_processes_told() -> None:
    readers = [
        process("n1", plan=Spent(1, cpu_s=1), read=Spent(40, cpu_s=30, storage_s=10)),
        process("n2", read=Spent(20), commit=Spent(9, cpu_s=5)),
        process("n2"),
    ]
    encoders = [process("n2", encode=Spent(30, cpu_s=24, device_s=20)) for _ in range(4)]
    counts = Counts(1, began=5, ended=55, tiles_encoded=3)
    load = measure_load(counts, readers, encoders, workers(), NODES, 2, False)
    assert (load.cores, load.gpus, load.readers, load.encoders) == (12, 2, 3, 4)
    assert load.reader_busy == pytest.approx(70 / (3 * 50))
    assert load.encoder_busy == pytest.approx(120 / (4 * 50))
    assert load.gpu_busy == pytest.approx(80 / (2 * 50))
    assert load.cores_busy == pytest.approx((36 + 96) / (12 * 50))
    assert load.storage_wait == pytest.approx(10 / 60)


def test_a_process_that_joined_late_counts_for_what_was_left() -> None:
    readers = [process("n1", read=Spent(40)), process("n2", since=45, read=Spent(10))]
    load = measure_load(Counts(1, began=5, ended=55), readers, [], workers(), NODES, 2, False)
    assert load.readers == pytest.approx(1.2)
    assert load.reader_busy == pytest.approx(50 / (50 + 10))


@pytest.mark.parametrize(
    ("now", "before", "span", "share"),
    [
        (Busy(2, 15), Busy(2, 5), 10, 0.5),
        (Busy(2, 5), None, 10, 0.25),
        (Busy(2, 99), Busy(2, 5), 10, 1.0),
        (Busy(1, 5), Busy(2, 15), 10, 0.0),
        (Busy(0, 5), None, 10, 0.0),
        (Busy(2, 5), None, 0, 0.0),
    ],
)
def test_a_share_is_of_the_last_seconds_and_within_its_bounds(
    now: Busy, before: Busy | None, span: float, share: float
) -> None:
    assert share_since(now, before, span) == share


def test_samples_of_a_run_have_the_names_and_tags_that_are_exported() -> None:
    readers = [process("n1", read=Spent(4, file_bytes=70)), process("n2", plan=Spent(1))]
    encoders = [process("n2", encode=Spent(8, device_s=5))]
    sampler = Sampler(readers, encoders, 1, NODES, 64)
    counts = Counts(9, tiles_read=10, deaths=1, blocks_ready=4)
    counts.vectors.update({"a": 8, "b": 6})
    outcomes = {("a", "done"): 2, ("b", "failed"): 1}

    def look(span_s: float) -> dict[tuple[Any, ...], float]:
        samples = sampler.take(counts, outcomes, span_s)
        assert {s.name for s in samples} == set(METRICS)
        assert all(set(s.tags) == set(METRICS[s.name].tags) for s in samples)
        return {(s.name.removeprefix("histo_ray_"), *s.tags.values()): s.value for s in samples}

    assert look(10) == {
        ("tiles_read_total",): 10,
        ("tiles_encoded_total", "a"): 8,
        ("tiles_encoded_total", "b"): 6,
        ("bytes_read_total", "file"): 70,
        ("bytes_read_total", "pixels"): 10 * 64 * 64 * 3,
        ("slides_total", "a", "done"): 2,
        ("slides_total", "b", "failed"): 1,
        ("process_deaths_total",): 1,
        ("queue_blocks",): 4,
        ("reader_busy_share", "cpu"): 0.4,
        ("reader_busy_share", "gpu"): 0.1,
        ("encoder_busy_share", "gpu"): 0.8,
        ("gpu_busy_share",): 0.5,
    }
    readers[0].spent["read"] = Spent(6, file_bytes=70)
    assert look(4)["reader_busy_share", "cpu"] == 0.5
    rest = {s.name: s.value for s in at_rest(sampler.take(counts, outcomes, 1))}
    assert rest["histo_ray_queue_blocks"] == rest["histo_ray_reader_busy_share"] == 0
    assert rest["histo_ray_tiles_read_total"] == 10
