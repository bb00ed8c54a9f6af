"""A derived table of all tiles without their vectors: few large files in place of very many.

A segment holds the tiles of up to `MOST` partitions of one encoder and tiling, and an index that
says how the partitions' files looked before they were read. As with the catalogue a plain listing
decides: the tiles of a partition count only while its file looks as it did, and of each partition
those of one segment. What no segment has is read from the partitions. Segments are never changed.
Decision 25 tells more.
"""

import io
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage.native import native
from histo_ray.storage.seal import BLANK, SEAL_KEY, check_bytes, seal_bytes
from histo_ray.store.atomic_write import publish, stage, write_bytes
from histo_ray.store.catalog import list_files, list_folders
from histo_ray.store.layout import CACHE, is_given, split_folder
from histo_ray.store.location import Location
from histo_ray.store.parquet import UNREADABLE
from histo_ray.store.receipt_table import LISTING, NAME, changed_ns, split_listing

VERSION = b"3"
"""Raised whenever segments of the same partitions would be others."""
LEAST, MOST = 64, 4096
"""Partitions of a segment: fewer new ones are read from their files, more begin another one."""
FEW_SEGMENTS = 16
"""Segments of less than a quarter of `MOST` live partitions are joined where there are more."""
SETTLED_NS = 60 * 10**9
"""As of the catalogue: a file changed later before it was listed could change and look the same."""
FOLDER = f"{CACHE}/tiles"
FILE = "file"
"""Column of a segment: name of the partition's file, as `S1.parquet`."""

_VERSION_KEY, _OF_KEY = b"histo_ray_tiles", b"histo_ray_segment"
_log = logging.getLogger(__name__)


class Segment(NamedTuple):
    """A file of tiles, and which of them do not count any more."""

    path: str
    """Relative to the store."""
    dead: tuple[str, ...]
    """Files of partitions, as its column `file` names them."""


class FolderTiles(NamedTuple):
    """Where all tiles of one encoder and tiling are to be read."""

    encoder: str
    tiling: str
    segments: tuple[Segment, ...]
    rest: pa.Table
    """Partitions that no segment has: the columns of `LISTING`."""


WriteTiles = Callable[[str, str, pa.Table, Path], bool]
"""Writes the tiles of some partitions of an encoder and tiling into a local Parquet file; False if
one cannot be read."""


def find_tiles(root: Location, write: WriteTiles | None) -> list[FolderTiles]:
    """Find where all tiles of a store are to be read, and write segments for what has none.

    Args:
        root: The store.
        write: Writes the tiles of a new segment; None: no segment is written.

    Raises:
        UnreachableError: The store does not answer.
    """
    return [_find_folder(root, folder, write) for folder in list_folders(root, None, None)]


def _find_folder(root: Location, path: str, write: WriteTiles | None) -> FolderTiles:
    encoder, tiling = split_folder(path)
    asked_ns = time.time_ns()
    listed = list_files(root, encoder, tiling)
    if is_given(tiling) or len(listed) < LEAST:  # tile sets are few and have labels
        return FolderTiles(encoder, tiling, (), listed)
    folder = f"{FOLDER}/encoder={encoder}/tiling={tiling}"
    known = _read_indexes(root, folder)
    segments, rest = _split(listed, known, join=write is not None)
    settled = rest.filter(pc.less(changed_ns(rest), asked_ns - SETTLED_NS))
    if write is not None and len(settled) >= LEAST:
        for start in range(0, len(settled), MOST):
            part = settled.slice(start, MOST)
            if not _write_segment(root, folder, part, partial(write, encoder, tiling, part)):
                break
        segments, rest = _split(listed, _read_indexes(root, folder), join=False)
    return FolderTiles(encoder, tiling, segments, rest)


def _split(listed: pa.Table, known: pa.Table, join: bool) -> tuple[tuple[Segment, ...], pa.Table]:
    """Which segments have which partitions, and partitions that none has. Pure.

    Args:
        listed: What is there now.
        known: Indexes of all segments, the newest first.
        join: Leave segments out of which little is left, and small ones where they are many, so
            that their partitions come into a new one.
    """
    numbered = known.append_column("row", pa.array(np.arange(len(known))))
    held, rest = split_listing(numbered, listed)
    lives = np.zeros(len(known), bool)
    lives[held["row"].to_numpy()] = True
    paths = known["segment"].combine_chunks().dictionary_encode()
    codes = paths.indices.to_numpy(zero_copy_only=False)
    alive = np.bincount(codes, lives, len(paths.dictionary)).astype(int)
    counts = np.bincount(codes, minlength=len(paths.dictionary))
    kept = alive > 0
    if join:
        kept &= 2 * alive >= counts
        small = kept & (alive < MOST // 4)
        if small.sum() > FEW_SEGMENTS:
            kept &= ~small
    files = pc.binary_join_element_wise(known[NAME], known["format"], ".").combine_chunks()
    segments = tuple(
        Segment(
            paths.dictionary[number].as_py(),
            tuple(files.filter(pa.array(~lives & (codes == number))).to_pylist()),
        )
        for number in np.flatnonzero(kept).tolist()
    )
    dropped = lives & ~kept[codes] if len(codes) else lives
    again = known.filter(pa.array(dropped)).select(LISTING.names)
    return segments, pa.concat_tables([rest, again]).sort_by(NAME)


def _read_indexes(root: Location, folder: str) -> pa.Table:
    """The indexes of all segments of a folder whose tiles are there, the newest first."""
    nothing = _index_schema().empty_table()
    names, stamps = root.child(folder).entries()
    sizes = dict(zip(names, stamps[:, 0].tolist(), strict=True))
    tables = [nothing]
    for name in sorted((n for n in names if n.endswith(".index")), reverse=True):
        tiles = f"{name.removesuffix('.index')}.parquet"
        table = _read_index(root.child(f"{folder}/{name}"), _say(tiles, sizes.get(tiles, -1)))
        if table is not None:
            path = pa.repeat(f"{folder}/{tiles}", len(table))
            tables.append(table.append_column("segment", path).cast(nothing.schema))
    return pa.concat_tables(tables).combine_chunks()


def _read_index(location: Location, segment: bytes) -> pa.Table | None:
    """An index, held against its own digest; None if it is not of the tiles that are there."""
    try:
        data = location.read_bytes()
        if check_bytes(data) != "sealed":
            return None
        source = pq.ParquetFile(native(data))
        said = source.metadata.metadata or {}
        if (said.get(_VERSION_KEY), said.get(_OF_KEY)) != (VERSION, segment):
            return None
        return source.read(columns=LISTING.names).cast(LISTING)
    except UNREADABLE:
        return None


def _write_segment(
    root: Location, folder: str, part: pa.Table, write: Callable[[Path], bool]
) -> bool:
    """Write the tiles of some partitions, then the index that makes them count.

    Returns:
        Whether the store can be written.
    """
    name = f"{folder}/{time.time_ns():020d}-{secrets.token_hex(4)}"
    try:
        with stage(root) as scratch:
            built = scratch / "tiles.parquet"
            if not write(built):
                return True
            said = _say(f"{name}.parquet".rpartition("/")[2], built.stat().st_size)
            publish(built, root.child(f"{name}.parquet"))
        write_bytes(root, f"{name}.index", _pack_index(part, said))
    except UnreachableError:
        raise
    except (OSError, StoreError) as error:
        _log.debug("%s: not written (%s); tiles are read from partitions", name, error)
        return False
    return True


def _pack_index(part: pa.Table, segment: bytes) -> bytes:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, LISTING, compression="zstd") as writer:
        writer.write_table(part.select(LISTING.names).cast(LISTING))
        writer.add_key_value_metadata({_VERSION_KEY: VERSION, _OF_KEY: segment, SEAL_KEY: BLANK})
    return seal_bytes(sink.getvalue())


def _say(name: str, size: int) -> bytes:
    """What an index says of its segment."""
    return f"{name} {size}".encode()


def _index_schema() -> pa.Schema:
    return LISTING.append(pa.field("segment", pa.string()))
