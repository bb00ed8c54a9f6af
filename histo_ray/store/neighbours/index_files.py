"""Indexes of a store's tiles in its cache: built, found, held against a listing, dropped.

An index is a folder: faiss's files, and a table of the partitions it was made of and of how their
files looked before they were read. It appears whole or not at all. As with the catalogue a plain
listing decides which of its tiles still count; partitions that it does not know are searched
beside it.
"""

import io
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histo_ray.errors import ConfigError, StoreError
from histo_ray.storage.native import native
from histo_ray.storage.seal import BLANK, SEAL_KEY, check_bytes, seal_bytes
from histo_ray.store.atomic_write import discard, publish, stage
from histo_ray.store.catalog import FORMATS, list_files
from histo_ray.store.half_floats import Float32s
from histo_ray.store.layout import CACHE, Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.neighbours.ann_index import (
    SUFFIX,
    IndexQuality,
    build_index,
    sample_size,
)
from histo_ray.store.neighbours.nearest import to_units
from histo_ray.store.parquet import UNREADABLE
from histo_ray.store.receipt_table import LISTING, NAME, changed_ns, split_listing
from histo_ray.store.tile_segments import SETTLED_NS
from histo_ray.types import PartitionKey

VERSION = b"1"
FOLDER, PARTITIONS = f"{CACHE}/neighbours", "partitions.parquet"
TILES = "tiles"
"""Column of the table of partitions: how many tiles each has in the index."""

_VERSION_KEY, _OF_KEY, _CELLS_KEY = (
    b"histo_ray_neighbours",
    b"histo_ray_index",
    b"histo_ray_looked_into",
)
_SCHEMA = LISTING.append(pa.field(TILES, pa.int64()))
Say = Callable[[str], None]


class BuiltIndex(NamedTuple):
    """What was built."""

    encoder: str
    tiling: str
    tiles: int
    slides: int
    bytes: int
    seconds: float
    quality: IndexQuality


class FoundIndex(NamedTuple):
    """An index, and what of it still counts."""

    folder: Path
    looked_into: int
    """Cells that a query looks into."""
    names: list[str]
    """(P,) partitions in the order of their rows."""
    firsts: npt.NDArray[np.int64]
    """(P + 1,) first row of each, and the number of all."""
    live: npt.NDArray[np.bool_]
    """(P,) whether a partition's file still looks as it did."""
    rest: pa.Table
    """Partitions that it does not know as they are: columns of `LISTING`."""


def build_neighbours(
    root: Location, encoder: str, tiling: str, dim: int, say: Say = lambda text: None
) -> BuiltIndex:
    """Build the index of an encoder and tiling, and remove older ones.

    Args:
        root: The store, on a file system.
        encoder: Whose embeddings.
        tiling: In which tiling.
        dim: Length of a vector.
        say: Called with a line where files must settle before.

    Raises:
        ConfigError: The store is in an object store, or faiss is not installed.
        StoreError: A partition is damaged, or the store cannot be written.
    """
    if not root.local:
        raise ConfigError(
            f"store {root.path}: an index is mapped into memory, so it needs a store on a file "
            "system; search without one"
        )
    start = time.monotonic()
    listed = _list_settled(root, encoder, tiling, say)
    folder = f"{FOLDER}/encoder={encoder}/tiling={tiling}"
    older = root.child(folder).names()
    counts = list[int]()
    with stage(root) as scratch:
        built = scratch / "index"
        built.mkdir()
        sample = _draw_sample(root, encoder, tiling, listed, dim)
        blocks = _read_units(root, encoder, tiling, listed, counts)
        quality = build_index(built, sample, blocks)
        table = listed.append_column(TILES, pa.array(counts, pa.int64()))
        (built / PARTITIONS).write_bytes(_pack(table, _look(built), quality.looked_into))
        size = sum(path.stat().st_size for path in built.iterdir())
        publish(built, root.child(f"{folder}/{time.time_ns():020d}-{secrets.token_hex(4)}"))
    for name in older:
        discard(root, root.child(f"{folder}/{name}"))
    seconds = time.monotonic() - start
    return BuiltIndex(encoder, tiling, sum(counts), len(listed), size, seconds, quality)


def find_index(root: Location, encoder: str, tiling: str) -> tuple[FoundIndex | None, pa.Table]:
    """The newest index of an encoder and tiling that is whole, and a listing of what is there.

    Args:
        root: The store.
        encoder: Whose embeddings.
        tiling: In which tiling.
    """
    listed = list_files(root, encoder, tiling)
    top = root.child(f"{FOLDER}/encoder={encoder}/tiling={tiling}")
    for name in reversed(top.names() if root.local else []):
        read = _read_partitions(Path(top.path) / name)
        if read is None:
            continue
        known, looked_into = read
        numbered = known.append_column("row", pa.array(np.arange(len(known))))
        held, rest = split_listing(numbered, listed)
        live = np.zeros(len(known), bool)
        live[held["row"].to_numpy()] = True
        firsts = np.concatenate([[0], np.cumsum(known[TILES].to_numpy())]).astype(np.int64)
        names = known[NAME].to_pylist()
        return FoundIndex(Path(top.path) / name, looked_into, names, firsts, live, rest), listed
    return None, listed


def drop_neighbours(root: Location, encoder: str | None) -> list[str]:
    """Remove the indexes of an encoder, or all; their folders, relative to the store."""
    top = root.child(FOLDER)
    found = []
    for own in top.names():
        if encoder is not None and own != f"encoder={encoder}":
            continue
        for tiling in top.child(own).names():
            path = f"{FOLDER}/{own}/{tiling}"
            for name in root.child(path).names():
                discard(root, root.child(f"{path}/{name}"))
                found.append(f"{path}/{name}")
    return found


def _list_settled(root: Location, encoder: str, tiling: str, say: Say) -> pa.Table:
    """What is there, once no file changed within the last minute; see `SETTLED_NS`."""
    listed = list_files(root, encoder, tiling)
    newest = pc.max(changed_ns(listed)).as_py() or 0
    wait_s = (newest + SETTLED_NS - time.time_ns()) / 1e9
    if 0 < wait_s <= SETTLED_NS / 1e9:
        say(f"waiting {wait_s:.0f} s: files that changed just now could change and look the same")
        time.sleep(wait_s)
        listed = list_files(root, encoder, tiling)
    return listed


def _read_vectors(root: Location, encoder: str, tiling: str, name: str, form: Form) -> Float32s:
    location = root.child(partition_path(PartitionKey(encoder, tiling, name), form))
    return to_units(FORMATS[form].read_bag(location)[1])


def _read_units(
    root: Location, encoder: str, tiling: str, listed: pa.Table, counts: list[int]
) -> Iterator[Float32s]:
    """Unit vectors of all partitions, one after the other; their numbers are added to `counts`."""
    for name, form in zip(listed[NAME].to_pylist(), listed["format"].to_pylist(), strict=True):
        vectors = _read_vectors(root, encoder, tiling, name, form)
        counts.append(len(vectors))
        if len(vectors):
            yield vectors


def _draw_sample(root: Location, encoder: str, tiling: str, listed: pa.Table, dim: int) -> Float32s:
    """Vectors drawn at random: as many of each partition as it has a part of the bytes."""
    random = np.random.default_rng(0)
    names, forms = listed[NAME].to_pylist(), listed["format"].to_pylist()
    sizes = np.maximum(1, listed["size"].to_numpy()).astype(np.float64)
    estimate = int(sizes.sum() / (2 * dim)) + len(names)
    wanted = sample_size(max(estimate, len(names)), dim)
    parts = [np.empty((0, dim), np.float32)]
    order = random.permutation(len(names))
    drawn = 0
    for at in order.tolist():
        if drawn >= wanted:
            break
        vectors = _read_vectors(root, encoder, tiling, names[at], forms[at])
        most = max(64, int(2 * wanted * sizes[at] / sizes.sum()))
        chosen = random.permutation(len(vectors))[: min(most, wanted - drawn)]
        parts.append(vectors[chosen])
        drawn += len(chosen)
    sample = np.concatenate(parts)
    if not len(sample):
        raise StoreError(
            f"encoder {encoder}, tiling {tiling}: no slide has tiles, so there is nothing to index"
        )
    return sample[random.permutation(len(sample))]


def _look(folder: Path) -> bytes:
    """Names and sizes of the files of an index."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    return " ".join(f"{path.name} {path.stat().st_size}" for path in files).encode()


def _pack(table: pa.Table, look: bytes, looked_into: int) -> bytes:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer:
        writer.write_table(table.select(_SCHEMA.names).cast(_SCHEMA))
        cells = str(looked_into).encode()
        writer.add_key_value_metadata({_VERSION_KEY: VERSION, _OF_KEY: look, _CELLS_KEY: cells})
        writer.add_key_value_metadata({SEAL_KEY: BLANK})
    return seal_bytes(sink.getvalue())


def _read_partitions(folder: Path) -> tuple[pa.Table, int] | None:
    """The partitions of an index, and how many cells a query looks into.

    None if it is not whole, or of another version.
    """
    try:
        data = (folder / PARTITIONS).read_bytes()
        if check_bytes(data) != "sealed":
            return None
        source = pq.ParquetFile(native(data))
        said = source.metadata.metadata or {}
        if (said.get(_VERSION_KEY), said.get(_OF_KEY)) != (VERSION, _look(folder)):
            return None
        return source.read().cast(_SCHEMA), int(said[_CELLS_KEY])
    except UNREADABLE:
        return None
