"""A labelled tile set, and reading its pixels."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.config import digest
from histo_ray.errors import ConfigError
from histo_ray.storage import locate
from histo_ray.storage.files import read_file
from histo_ray.text import name_some
from histo_ray.tilesets.image import Pixels, TileError, decode_tile

MOST_BYTES = 2**27
"""Largest file of a tile in bytes: more than the largest tile takes uncompressed."""
LOADERS = 4
"""Most threads that decode tiles together, where the caller does not say."""


@dataclass(frozen=True)
class TileSet:
    """Some labelled tiles of one size; pixels stay in their files."""

    name: str
    """Slug; the slide_id of its embeddings in a store."""
    classes: tuple[str, ...]
    """Sorted."""
    paths: tuple[str, ...]
    """(N,) absolute local path or URI; sorted by class, then by file."""
    labels: npt.NDArray[np.int32]
    """(N,) index into `classes`."""
    groups: tuple[str, ...] | None
    """(N,) patient of each tile; None where unknown, so leakage cannot be excluded."""
    digests: tuple[str, ...]
    """(N,) SHA-256, in hex, of each file's decoded pixels."""
    tile_px: int
    """Edge of every tile in px."""
    synthetic: bool = False
    """Whether its table marks any tile as synthetic; not part of the digest."""
    kept: npt.NDArray[np.int64] | None = None
    """(N,) tile_id of each tile in the set that these were chosen from; None: it is whole."""

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of all that a model can learn from it: pixels, labels, groups, order."""
        return digest(
            {
                "classes": list(self.classes),
                "labels": self.labels.tolist(),
                "groups": self.groups and list(self.groups),
                "pixels": list(self.digests),
            }
        )

    @property
    def tile_ids(self) -> npt.NDArray[np.int64]:
        """(N,) tile_id of each tile in the store."""
        return np.arange(len(self)) if self.kept is None else self.kept

    def take(self, rows: npt.NDArray[np.int64]) -> "TileSet":
        """Some tiles of it, as if there were no others.

        Args:
            rows: (n,) which, ascending.

        Raises:
            ConfigError: A class has none left.
        """
        lost = set(range(len(self.classes))) - set(self.labels[rows].tolist())
        if lost:
            named = name_some([self.classes[at] for at in sorted(lost)])
            raise ConfigError(
                f"tiles {self.name}: no tile of class {named} is kept of {self.counts}; loosen "
                "--where, or leave the class out of --tiles"
            )
        return replace(
            self,
            paths=tuple(self.paths[at] for at in rows),
            labels=self.labels[rows],
            groups=None if self.groups is None else tuple(self.groups[at] for at in rows),
            digests=tuple(self.digests[at] for at in rows),
            kept=self.tile_ids[rows],
        )

    @property
    def counts(self) -> dict[str, int]:
        """Tiles of each class."""
        numbers = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, numbers, strict=True))

    @property
    def label_names(self) -> tuple[str, ...]:
        """(N,) class of each tile, by name."""
        return tuple(self.classes[label] for label in self.labels.tolist())


def load_tiles(
    tileset: TileSet,
    rows: "Sequence[int] | npt.NDArray[np.integer[Any]]",
    *,
    threads: int | None = None,
    check: bool = False,
) -> Pixels:
    """Decode some tiles.

    Args:
        tileset: The set.
        rows: Which, in any order; repeats are decoded again.
        threads: Threads that decode (default: one a core, at most `LOADERS`).
        check: Refuse files whose pixels are not those that the set was read with.

    Returns:
        (n, tile_px, tile_px, 3) uint8 RGB, in the order of `rows`.

    Raises:
        ConfigError: A file has gone or changed since the set was read.
    """
    chosen = [int(row) for row in rows]
    px = tileset.tile_px
    tiles = np.empty((len(chosen), px, px, 3), np.uint8)

    def load(index: int) -> None:
        row = chosen[index]
        pixels = _load_one(tileset, row)
        if check and digest_pixels(pixels) != tileset.digests[row]:
            raise _changed(tileset, row, "its pixels are others")
        tiles[index] = pixels

    count = min(threads or min(LOADERS, os.cpu_count() or 1), len(chosen))
    if count <= 1:
        for index in range(len(chosen)):
            load(index)
    else:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(load, range(len(chosen))))
    return tiles


def digest_pixels(pixels: Pixels) -> str:
    """SHA-256, in hex, of the C-order bytes of decoded pixels."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def read_bytes(path: str) -> bytes:
    """All bytes of a local path or URI.

    Raises:
        OSError: It cannot be read.
    """
    return read_file(*locate(path), MOST_BYTES)


def _load_one(tileset: TileSet, row: int) -> Pixels:
    try:
        pixels = decode_tile(read_bytes(tileset.paths[row]))
    except TileError as error:
        raise _changed(tileset, row, str(error)) from None
    except OSError as error:
        raise _changed(tileset, row, f"cannot be read ({error.strerror or error})") from None
    if pixels.shape[:2] != (tileset.tile_px, tileset.tile_px):
        raise _changed(tileset, row, f"{pixels.shape[1]} x {pixels.shape[0]} px now")
    return pixels


def _changed(tileset: TileSet, row: int, found: str) -> ConfigError:
    return ConfigError(
        f"tiles {tileset.name}: {tileset.paths[row]} has changed since the set was read: {found}; "
        "restore the file, or run the command again to read the set anew"
    )
