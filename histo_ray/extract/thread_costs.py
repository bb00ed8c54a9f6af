"""What the threads of a run in one process spend, noted as processes of their own would report."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from histo_ray.extract.meter import Spent
from histo_ray.slides.direct.traffic import FETCHED


@dataclass
class Side:
    """Reading, or encoding: what it has spent, as a process of its own would report."""

    node: str = ""
    spent: dict[str, Spent] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    """Of readers there is one a thread; what all of them spent is noted with the first."""

    def note(self, kind: str, spent: Spent) -> None:
        """Add what some work cost."""
        self.spent[kind] = self.spent.get(kind, Spent()).plus(spent)


class Costs:
    """What the threads of a run spend, by kind of work.

    CPU time of encoders' own threads is what is left of the process's: Python is told of none.
    """

    def __init__(self, readers: Side, encoders: Side) -> None:
        self._readers, self._encoders = readers, encoders
        self._lock = threading.Lock()
        self._cpu_s, self._noted_cpu_s = time.process_time(), 0.0
        self._fetched = FETCHED.total
        self._device_s = 0.0

    @contextmanager
    def of_thread(self, kind: str) -> Iterator[None]:
        """Note what the work within costs, which this thread does alone."""
        began, cpu_s = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            own_cpu_s = time.thread_time() - cpu_s
            busy_s = time.perf_counter() - began
            with self._lock:
                before, self._fetched = self._fetched, FETCHED.total
                size, storage_s = (a - b for a, b in zip(self._fetched, before, strict=True))
                self._noted_cpu_s += own_cpu_s
                self._readers.note(kind, Spent(busy_s, own_cpu_s, storage_s, 0.0, int(size)))

    @contextmanager
    def of_encoding(self, device_s: Callable[[], float]) -> Iterator[None]:
        """Note what encoding within costs; `device_s` gives the GPU's seconds so far."""
        began = time.perf_counter()
        try:
            yield
        finally:
            busy_s = time.perf_counter() - began
            with self._lock:
                others = time.process_time() - self._noted_cpu_s
                cpu_s, self._cpu_s = others - self._cpu_s, others
                own_device_s, self._device_s = device_s() - self._device_s, device_s()
                self._encoders.note("encode", Spent(busy_s, cpu_s, 0.0, own_device_s))
