"""A cache of decoded tiles; the least recently used go first."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MIB = 2**20
CACHE_BYTES = 192 * MIB
"""One row of 256 px tiles of a slide 80,000 px wide takes 59 MiB; tiles asked for touch two or
three at a time."""

Pixels = npt.NDArray[np.uint8]


class Key(NamedTuple):
    """Which tile."""

    owner: int
    """The reader, by a number that no other reader has had."""
    level: int
    column: int
    row: int


class TileCache:
    """Decoded tiles, bounded in bytes. Threads may share one.

    Each owner says how much it needs; the cache takes what all need together, up to its limit,
    because memory that is touched for the first time costs time.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._needs: dict[int, int] = {}
        self._tiles: OrderedDict[Key, Pixels] = OrderedDict()
        self._bytes = 0
        self._coming: dict[Key, threading.Event] = {}
        self._lock = threading.Lock()
        self.walks = 1
        """Tilings that are read side by side: each comes back to rows of its own."""

    @property
    def bytes_held(self) -> int:
        """Bytes of all its tiles."""
        return self._bytes

    def need(self, owner: int, size_bytes: int) -> None:
        """Note how many bytes of tiles `owner` needs in the cache."""
        with self._lock:
            self._needs[owner] = size_bytes

    def get(self, key: Key) -> Pixels | None:
        """The tile, which counts as just used; None if it is not here."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def provide(self, key: Key, decode: Callable[[], Pixels | None]) -> Pixels | None:
        """The tile, decoded by `decode` if it is not here; None if there is none.

        Of several threads that ask for it one decodes, and the others wait. What it raises is the
        matter of each.
        """
        while True:
            with self._lock:
                tile = self._tiles.get(key)
                if tile is not None:
                    return tile
                other = self._coming.get(key)
                if other is None:
                    own = self._coming[key] = threading.Event()
                    break
            other.wait()
        try:
            tile = decode()
            if tile is not None:
                self.put(key, tile)
            return tile
        finally:
            with self._lock:
                del self._coming[key]
            own.set()

    def put(self, key: Key, tile: Pixels) -> None:
        """Keep a tile; those used longest ago make room."""
        with self._lock:
            self._drop(key)
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            limit = min(self._limit_bytes, self.walks * sum(self._needs.values()))
            while self._bytes > limit:
                self._drop(next(iter(self._tiles)))

    def forget(self, owner: int) -> None:
        """Drop all that belongs to `owner`."""
        with self._lock:
            self._needs.pop(owner, None)
            for key in [key for key in self._tiles if key.owner == owner]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        tile = self._tiles.pop(key, None)
        if tile is not None:
            self._bytes -= tile.nbytes


@cache
def shared_cache() -> TileCache:
    """The cache of this process: one bound for all the slides that it has open."""
    return TileCache()
