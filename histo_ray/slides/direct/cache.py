"""Decoded tiles that are at hand: the least recently used go first."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from functools import cache

import numpy as np
import numpy.typing as npt

MIB = 2**20
CACHE_BYTES = 192 * MIB
"""One row of tiles of a slide 100,000 px wide takes 73 MiB; a row of tiles asked for touches 2-3."""

Pixels = npt.NDArray[np.uint8]


class TileCache:
    """Decoded tiles by any key, bounded in bytes. Threads may share one."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._tiles: OrderedDict[Hashable, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes_held(self) -> int:
        """Bytes of all its tiles."""
        return self._bytes

    def get(self, key: Hashable) -> Pixels | None:
        """The tile, which counts as just used; None if it is not here."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: Hashable, tile: Pixels) -> None:
        """Keep a tile; those used longest ago make room."""
        with self._lock:
            self._drop(key)
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self._limit_bytes:
                self._drop(next(iter(self._tiles)))

    def forget(self, owner: object) -> None:
        """Drop all tiles whose key is a tuple that begins with `owner`."""
        with self._lock:
            for key in [k for k in self._tiles if isinstance(k, tuple) and k[0] is owner]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        tile = self._tiles.pop(key, None)
        if tile is not None:
            self._bytes -= tile.nbytes


@cache
def shared_cache() -> TileCache:
    """The cache of this process: one bound for all the slides that it has open."""
    return TileCache()
