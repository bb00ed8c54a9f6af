"""Labelled tiles as training reads them: some rows at a time, as uint8 pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]
Load = Callable[[Rows], Pixels]


class TrainingTiles(Protocol):
    """N labelled tiles of one size."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """(N,) index into `classes`."""

    @property
    def tile_px(self) -> int:
        """Edge in px."""

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over labels and pixels."""

    def read(self, rows: Rows) -> Pixels:
        """(n, tile_px, tile_px, 3) RGB in the order of `rows`."""


@dataclass(frozen=True)
class ArrayTiles:
    """Tiles in memory."""

    pixels: Pixels
    """(N, px, px, 3)."""
    labels: npt.NDArray[np.int32]
    classes: tuple[str, ...]
    digest: str

    @property
    def tile_px(self) -> int:
        """Edge in px."""
        return int(self.pixels.shape[1])

    def read(self, rows: Rows) -> Pixels:
        """Tiles in the order of `rows`."""
        return self.pixels[rows]


@dataclass
class LoadedTiles:
    """Tiles that are read from files, and kept in memory as far as they fit."""

    load: Load
    """Reads rows; called from several threads."""
    labels: npt.NDArray[np.int32]
    classes: tuple[str, ...]
    digest: str
    tile_px: int
    memory_bytes: int
    """Most that is kept."""
    _kept: dict[int, Pixels] = field(default_factory=dict, repr=False)

    def read(self, rows: Rows) -> Pixels:
        """Tiles in the order of `rows`; each file that is kept is read once."""
        missing = np.array([row for row in rows.tolist() if row not in self._kept], np.int64)
        fresh: dict[int, Pixels] = {}
        if len(missing):
            fresh = dict(zip(missing.tolist(), self.load(missing), strict=True))
            room = self.memory_bytes // (3 * self.tile_px**2) - len(self._kept)
            for row, tile in list(fresh.items())[: max(0, room)]:
                self._kept[row] = tile.copy()  # a view would keep its whole batch
        found: Sequence[Pixels] = [
            fresh[row] if row in fresh else self._kept[row] for row in rows.tolist()
        ]
        return np.stack(found)


@dataclass(frozen=True)
class TileSubset:
    """Some rows of a set of tiles."""

    tiles: TrainingTiles
    rows: Rows
    name: str = ""
    """Name of the set."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """(n,) class of each of these rows."""
        chosen: npt.NDArray[np.int32] = self.tiles.labels[self.rows]
        return chosen

    def read(self, some: Rows | slice) -> Pixels:
        """(m, px, px, 3): the tiles at the indices `some` of this subset's rows."""
        return self.tiles.read(self.rows[some])
