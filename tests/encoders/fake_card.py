"""A GPU that does nothing until it must: copies run when somebody waits for them, and not before.

So what is overwritten too early, or read too early, gives wrong numbers. All steps are logged.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class FakeStream:
    """Launched work, in order, that is not done yet."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.todo: deque[Callable[[], None]] = deque()
        self.lock = threading.RLock()

    def wait_event(self, event: "FakeEvent") -> None:
        self.log.append(f"{self.name} waits")
        event.complete()


class FakeEvent:
    """An event; it is reached when all that was launched before it is done."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.stream: FakeStream | None = None
        self.reached = False

    def record(self, stream: FakeStream) -> None:
        self.stream = stream
        stream.todo.append(self._reach)

    def synchronize(self) -> None:
        assert self.stream is not None
        self.log.append(f"host waits for {self.stream.name}")
        self.complete()

    def elapsed_time(self, later: "FakeEvent") -> float:
        assert self.reached
        assert later.reached
        return 2.0

    def complete(self) -> None:
        assert self.stream is not None
        with self.stream.lock:
            while not self.reached:
                self.stream.todo.popleft()()

    def _reach(self) -> None:
        self.reached = True


class FakeCard:
    """A card whose copies are late."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._names = iter(("copies", "work"))
        self._current = threading.local()

    def stream(self) -> FakeStream:
        return FakeStream(next(self._names), self.log)

    def event(self, timed: bool) -> FakeEvent:
        return FakeEvent(self.log)

    @contextmanager
    def launch_in(self, stream: FakeStream) -> Iterator[None]:
        self._current.stream = stream
        yield
        del self._current.stream

    def pin(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        self.log.append("pin")
        return torch.full(shape, 77, dtype=dtype)  # never cleared for us

    def upload(self, pinned: torch.Tensor) -> torch.Tensor:
        there = torch.full_like(pinned, 99)
        self._launch("upload", lambda: there.copy_(pinned))
        return there

    def download(self, computed: torch.Tensor, pinned: torch.Tensor) -> None:
        self._launch("download", lambda: pinned.copy_(computed))

    def keep(self, tensor: torch.Tensor, stream: FakeStream) -> None:
        self.log.append(f"keep for {stream.name}")

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def _launch(self, what: str, work: Callable[[], Any]) -> None:
        stream: FakeStream = self._current.stream
        self.log.append(f"{what} in {stream.name}")
        stream.todo.append(work)
