"""A cache of encoded pictures with a limit in bytes; threads may share it."""

from collections import OrderedDict
from threading import Lock


class ByteCache:
    """The pictures that were asked for last."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, name: str) -> bytes | None:
        """A picture, or None where it is not kept (any more)."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def put(self, name: str, picture: bytes) -> None:
        """Keep a picture; the ones that were asked for longest ago make room."""
        with self._lock:
            self._bytes += len(picture) - len(self._kept.pop(name, b""))
            self._kept[name] = picture
            while self._bytes > self._most and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone)
