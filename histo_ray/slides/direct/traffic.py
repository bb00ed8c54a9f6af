"""Counts what this process fetches of slides: bytes, and seconds waited for them."""

import threading


class Traffic:
    """Bytes and seconds of all fetches so far. Threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        self._seconds = 0.0

    def add(self, size_bytes: int, seconds: float) -> None:
        """Note one fetch."""
        with self._lock:
            self._bytes += size_bytes
            self._seconds += seconds

    @property
    def total(self) -> tuple[int, float]:
        """Bytes as they are in the file, and seconds; of several threads at once, the sum."""
        with self._lock:
            return self._bytes, self._seconds


FETCHED = Traffic()
"""Traffic of this process by the direct reader; what OpenSlide reads is unknown."""
