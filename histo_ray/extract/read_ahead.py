"""Calls done by threads ahead of whoever takes their results, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")


def call_ahead(
    threads: Executor, call: Callable[[J], R], jobs: Iterable[J], ahead: int
) -> Iterator[tuple[J, "Future[R]"]]:
    """Have jobs done, and give them in their order while those that follow are at work.

    Args:
        threads: What does them.
        call: Does one.
        jobs: Taken as they are needed.
        ahead: Most jobs that are given to `threads` beyond the one that is given back: what they
            return stays in memory until it is taken.

    Yields:
        A job and its result, or what it raised, in the future. Where the caller takes no more,
        jobs that have not begun are dropped.
    """
    waiting: deque[tuple[J, Future[R]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, threads.submit(call, job)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for _, future in waiting:
            future.cancel()
