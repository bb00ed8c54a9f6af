"""Calls ahead of whoever takes their results: order, bounds, errors, and an early end."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from histo_ray.extract.read_ahead import call_ahead


def test_results_come_in_order_and_never_more_than_allowed_wait() -> None:
    begun: list[int] = []

    def call(job: int) -> int:
        begun.append(job)
        time.sleep(0.02 if job % 3 == 0 else 0)  # later ones overtake
        return job * job

    taken = 0
    with ThreadPoolExecutor(3) as threads:
        for job, future in call_ahead(threads, call, iter(range(12)), ahead=4):
            assert future.result() == job * job
            assert job == taken
            taken += 1
            assert len(begun) <= taken + 4
    assert taken == 12


def test_calls_run_beside_each_other() -> None:
    both = threading.Barrier(2, timeout=10)
    with ThreadPoolExecutor(2) as threads:
        for _, future in call_ahead(threads, lambda job: both.wait(), range(4), ahead=2):
            future.result()


def test_an_error_is_raised_where_its_result_is_taken() -> None:
    def call(job: int) -> int:
        return 1 // (job - 2)

    with ThreadPoolExecutor(2) as threads:
        found = call_ahead(threads, call, range(5), ahead=3)
        assert [next(found)[1].result() for _ in range(2)] == [-1, -1]
        with pytest.raises(ZeroDivisionError):
            next(found)[1].result()
        assert [future.result() for _, future in found] == [1, 0]


def test_what_has_not_begun_is_dropped_where_nobody_takes_it() -> None:
    begun: list[int] = []
    go = threading.Event()

    def call(job: int) -> None:
        begun.append(job)
        go.wait(10)

    with ThreadPoolExecutor(1) as threads:
        found = call_ahead(threads, call, range(9), ahead=5)
        next(found)
        found.close()  # type: ignore[attr-defined]
        go.set()
    assert begun == [0]


def test_without_jobs_nothing_is_called() -> None:
    with ThreadPoolExecutor(1) as threads:
        assert list(call_ahead(threads, str, [], ahead=2)) == []
