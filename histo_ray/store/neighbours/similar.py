"""Find the tiles most similar to one, or to a vector: an index, and a scan of what it lacks."""

import heapq
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.catalog import FORMATS, name_some
from histo_ray.store.half_floats import Float32s
from histo_ray.store.layout import Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.neighbours.ann_index import AnnIndex, has_faiss
from histo_ray.store.neighbours.index_files import FoundIndex, find_index
from histo_ray.store.neighbours.nearest import find_nearest, to_units
from histo_ray.store.receipt_table import NAME
from histo_ray.store.replaced import read_again
from histo_ray.text import count_of
from histo_ray.types import Floats, PartitionKey

Query = tuple[str, int] | npt.ArrayLike
"""A tile (slide_id, tile_id), or a vector (D,)."""
Allowed = dict[str, npt.NDArray[np.int64]]
"""tile_ids of the tiles that count, by slide."""


class Named(NamedTuple):
    """Partitions that are searched together."""

    encoder: str
    tiling: str
    dim: int
    """Length of their vectors."""


class SimilarTiles(NamedTuple):
    """The tiles most similar to a query, the most similar first."""

    slide_ids: list[str]
    tile_ids: list[int]
    coords: list[tuple[int, int]]
    """(x, y), level-0 px."""
    similarity: list[float]
    """Cosines, -1..1."""
    searched: str
    """How: `index`, `exact scan`, or an index and a scan of slides that it lacks."""


class _Hit(NamedTuple):
    similarity: float
    slide_id: str
    tile_id: int


@read_again
def find_similar(
    root: Location,
    partitions: Named,
    query: Query,
    k: int,
    allowed: Allowed | None = None,
    exact: bool = False,
) -> SimilarTiles:
    """Find the tiles of an encoder that are most similar to a tile or vector, by cosine.

    Args:
        root: The store.
        partitions: Of which encoder and tiling, and how long vectors are.
        query: A tile, which is no result of its own, or a vector.
        k: How many at most.
        allowed: Which tiles count; None: all.
        exact: Read all vectors even where there is an index.

    Raises:
        ConfigError: No such tile, or a vector of another length or without a direction.
        StoreError: A partition or the index is damaged.
    """
    encoder, tiling, dim = partitions
    found, listed = find_index(root, encoder, tiling)
    if exact or not has_faiss():
        found = None
    pairs = zip(listed[NAME].to_pylist(), listed["format"].to_pylist(), strict=True)
    there = {name: _Partition(root, PartitionKey(encoder, tiling, name), f) for name, f in pairs}
    own = _as_tile(query)
    unit = _as_unit(query, dim) if own is None else _read_tile(there, own)
    rest = [*there] if found is None else found.rest[NAME].to_pylist()
    if allowed is not None:
        rest = [name for name in rest if name in allowed]
    hits = [] if found is None else _search_index(found, unit, k + 1, allowed)
    hits += _scan([there[name] for name in rest], unit, k + 1, allowed)
    best = sorted((hit for hit in hits if hit[1:] != own), key=lambda h: (-h[0], *h[1:]))[:k]
    coords = {name: there[name].read_coords() for name in {hit.slide_id for hit in best}}
    return SimilarTiles(
        [hit.slide_id for hit in best],
        [hit.tile_id for hit in best],
        [(int(x), int(y)) for x, y in (coords[hit.slide_id][hit.tile_id] for hit in best)],
        [hit.similarity for hit in best],
        _say_how(found, rest),
    )


class _Partition(NamedTuple):
    root: Location
    key: PartitionKey
    form: Form

    @property
    def location(self) -> Location:
        return self.root.child(partition_path(self.key, self.form))

    def read_vectors(self) -> Floats:
        return FORMATS[self.form].read_bag(self.location)[1]

    def read_coords(self) -> npt.NDArray[np.int32]:
        return FORMATS[self.form].read_columns(self.location).coords


def _as_tile(query: Query) -> tuple[str, int] | None:
    """The tile that a query is; None of a vector."""
    if isinstance(query, tuple) and len(query) == 2 and isinstance(query[0], str):
        return query[0], int(query[1])
    return None


def _as_unit(query: Query, dim: int) -> Float32s:
    try:
        vector = np.asarray(query, np.float32)
    except (TypeError, ValueError):
        vector = np.empty(0, np.float32)
    if vector.shape != (dim,):
        raise ConfigError(
            f"similar: the query has shape {vector.shape}; give a tile (slide_id, tile_id), or a "
            f"vector of the encoder's {dim} numbers"
        )
    unit: Float32s = to_units(vector[None])[0]
    if not unit.any():
        raise ConfigError(
            "similar: the query is zero, or has numbers that are not finite, so nothing is near it"
        )
    return unit


def _read_tile(there: dict[str, _Partition], tile: tuple[str, int]) -> Float32s:
    slide_id, tile_id = tile
    if slide_id not in there:
        raise ConfigError(
            f"similar: slide {slide_id!r} is not in the store, which holds {name_some(there)}"
        )
    vectors = there[slide_id].read_vectors()
    if not 0 <= tile_id < len(vectors):
        raise ConfigError(
            f"similar: slide {slide_id!r} has no tile {tile_id}; its tiles are 0 to "
            f"{len(vectors) - 1}"
            if len(vectors)
            else f"similar: slide {slide_id!r} has no tiles"
        )
    return _as_unit(vectors[tile_id], vectors.shape[1])


@lru_cache(maxsize=4)
def _open(folder: Path) -> AnnIndex:
    """An index stays open: its centres take longer to read than a query takes."""
    return AnnIndex(folder)


def _search_index(found: FoundIndex, unit: Float32s, k: int, allowed: Allowed | None) -> list[_Hit]:
    """Hits in an index, of partitions that are as they were when it was built."""
    mask = None
    if allowed is not None or not found.live.all():
        mask = np.repeat(found.live, np.diff(found.firsts))
    if mask is not None and allowed is not None:
        chosen = np.zeros(len(mask), bool)
        for number in np.flatnonzero(found.live).tolist():  # others may have other tiles by now
            if found.names[number] in allowed:
                chosen[found.firsts[number] + allowed[found.names[number]]] = True
        mask &= chosen
    rows, similarity = _open(found.folder).search(unit, k, found.looked_into, mask)
    at = np.searchsorted(found.firsts, rows, side="right") - 1
    tiles = rows - found.firsts[at]
    cells = zip(similarity.tolist(), at.tolist(), tiles.tolist(), strict=True)
    return [_Hit(cosine, found.names[number], tile) for cosine, number, tile in cells]


def _scan(
    partitions: Sequence[_Partition], unit: Float32s, k: int, allowed: Allowed | None
) -> list[_Hit]:
    """Hits among all vectors of some partitions; memory holds a slide a thread."""

    def search(partition: _Partition) -> list[_Hit]:
        vectors, name = partition.read_vectors(), partition.key.slide_id
        if len(vectors) and vectors.shape[1] != len(unit):
            raise StoreError(
                f"{partition.location.path}: vectors of {vectors.shape[1]} numbers, where others "
                f"have {len(unit)}; run store verify"
            )
        tiles = np.arange(len(vectors)) if allowed is None else allowed[name]
        nearest = find_nearest(unit, vectors if allowed is None else vectors[tiles], k)
        cells = zip(nearest.similarity.tolist(), tiles[nearest.rows].tolist(), strict=True)
        return [_Hit(cosine, name, tile) for cosine, tile in cells]

    hits = list[_Hit]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(search, partitions):
            hits = heapq.nlargest(k, [*hits, *found], key=lambda hit: hit.similarity)
    return hits


def _say_how(found: FoundIndex | None, rest: Sequence[str]) -> str:
    if found is None:
        return "exact scan"
    if rest:
        return f"index, and a scan of {count_of(len(rest), 'slide')} that it lacks"
    return "index"
