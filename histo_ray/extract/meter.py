"""What a process spends on a run, reported with the results of its calls."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from histo_ray.slides.direct.traffic import FETCHED


class Spent(NamedTuple):
    """What some calls cost the process that ran them."""

    busy_s: float = 0.0
    """Seconds in which at least one call ran; neither waiting for work nor for its arguments."""
    cpu_s: float = 0.0
    """CPU seconds of the process, over all threads."""
    storage_s: float = 0.0
    """Seconds waited for bytes of slides, as far as they are read directly."""
    device_s: float = 0.0
    """Seconds that the GPU computed; 0 on CPU."""
    file_bytes: int = 0
    """Bytes of slides as they lie in their files, as far as they are read directly."""

    def plus(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent._make(a + b for a, b in zip(self, other, strict=True))

    def minus(self, other: "Spent") -> "Spent":
        """What of this came after `other`."""
        return Spent._make(a - b for a, b in zip(self, other, strict=True))


class CallResult(NamedTuple):
    """Result of a call, and what its process has spent since the last one."""

    value: Any
    spent: Spent


class Meter:
    """Counts what this process spends. Threads may share one; what they do at once counts once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._since = 0.0
        self._busy_s = 0.0
        self._reported: Spent | None = None

    @contextmanager
    def work(self) -> Iterator[None]:
        """Around each call. What came before the first one (imports, weights) does not count."""
        with self._lock:
            if self._reported is None:
                self._reported = self._total(0.0)
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._busy_s += time.perf_counter() - self._since

    def result(self, value: Any, device_s: float = 0.0) -> CallResult:
        """Wrap the result of a call with what was spent since the last one.

        Args:
            value: The call's result.
            device_s: Seconds that the GPU has computed since the process began to work.
        """
        with self._lock:
            now = self._total(device_s)
            before, self._reported = self._reported or now, now
        return CallResult(value, now.minus(before))

    def _total(self, device_s: float) -> Spent:
        busy = self._busy_s
        if self._running:
            busy += time.perf_counter() - self._since
        size_bytes, storage_s = FETCHED.total
        return Spent(busy, time.process_time(), storage_s, device_s, size_bytes)
