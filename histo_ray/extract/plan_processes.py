"""Processes of this machine that work on slides side by side. No Ray, which takes seconds to start.

They are forked from a server process that has imported what they need, and they are processes, not
threads: a file that crashes a decoder, or needs more memory than there is, costs its slide alone.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from histo_ray.extract.child_contexts import Method, child_context

R = TypeVar("R")

PRELOADED = [
    "histo_ray.extract.plan_slides",
    "histo_ray.slides.direct.direct_opening",
    "scipy.sparse",
]
"""Imported once by the server."""
DEATHS_ALONE = 2
"""A task is given up once its process has died so often while nothing else ran beside it."""
LOOK_EVERY_S = 0.5
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Died:
    """Result of a task whose process died each time."""


def start_server() -> None:
    """Have the server import its modules while this process reads manifest and store."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def count_cores() -> int:
    """Cores that this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        quota, period = "max", "1"
    share = cores or 1 if quota == "max" else max(1, int(quota) // int(period))
    return min(cores or 1, share)


class ProcessPool:
    """Calls functions in other processes, until closed."""

    def __init__(
        self, processes: int, settle: Callable[[], None], method: Method = "forkserver"
    ) -> None:
        """Prepare; processes start with the first call.

        Args:
            processes: Most of them.
            settle: Called once in each before its first task.
            method: `forkserver`, or `spawn` for a process with an environment of its own.
        """
        self._processes = processes
        self._settle = settle
        self._method = method
        self._executor: ProcessPoolExecutor | None = None
        self._children: set[BaseProcess] = set()

    def submit(self, call: Callable[..., R], *args: Any) -> "Future[R]":
        """Start one task."""
        if self._executor is None:
            arguments = (self._settle, dict(os.environ))
            self._executor = ProcessPoolExecutor(
                self._processes, child_context(self._method), _begin, arguments
            )
        before = set(multiprocessing.active_children())
        future = self._executor.submit(call, *args)
        self._children |= set(multiprocessing.active_children()) - before
        return future

    def map(
        self,
        call: Callable[..., R],
        tasks: Sequence[tuple[Any, ...]],
        look: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, R | Died]]:
        """Do all tasks; each one's index and result, in the order in which they end.

        When a process dies, the tasks that may have been in it are done again, each alone; the
        others go on side by side.

        Args:
            call: A module's function.
            tasks: Arguments of each call.
            look: Called about twice a second; what it raises ends the work.
        """
        left = list(range(len(tasks)))
        while left:
            yield from self._map_crowd(call, tasks, left, look)
            suspects = left[: self._processes + 1]  # at most so many are given out, in order
            del left[: len(suspects)]
            for index in suspects:
                yield index, self._do_alone(call, tasks[index])

    def _map_crowd(
        self,
        call: Callable[..., R],
        tasks: Sequence[tuple[Any, ...]],
        left: list[int],
        look: Callable[[], None],
    ) -> Iterator[tuple[int, R]]:
        """Do the tasks of `left`, which keeps those that a death took."""
        try:
            waiting = {self.submit(call, *tasks[index]): index for index in left}
        except BrokenProcessPool:  # a process died before all were given out
            self.close()
            return
        broken = False
        while waiting:
            done, _ = wait(waiting, LOOK_EVERY_S, FIRST_COMPLETED)
            look()
            for future in done:
                index = waiting.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    broken = True
                    continue
                left.remove(index)
                yield index, future.result()
        if broken:
            self.close()

    def _do_alone(self, call: Callable[..., R], task: tuple[Any, ...]) -> R | Died:
        for _ in range(DEATHS_ALONE):
            pool = ProcessPool(1, self._settle, self._method)
            try:
                return pool.submit(call, *task).result()
            except BrokenProcessPool:
                continue
            finally:
                pool.close()
        return Died()

    def close(self) -> None:
        """End the processes, whatever they do; a later call starts new ones."""
        if self._executor is None:
            return
        self._executor.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.kill()
        for child in self._children:
            child.join()
        self._executor, self._children = None, set()


def _begin(settle: Callable[[], None], environment: Mapping[str, str]) -> None:
    """Take the parent's environment, leave Ctrl-C to it, and end with it however it ends."""
    os.environ.update(environment)  # the server has that of its own start
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()
    settle()


def _leave_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
