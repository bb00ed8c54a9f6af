"""The tiles of a partition, piece by piece, as float32."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import StoreError
from histo_ray.store.catalog import FORMATS
from histo_ray.store.half_floats import Float32s, cut_pieces, widen
from histo_ray.store.layout import Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.parquet import UNREADABLE
from histo_ray.store.partition import Shape, regroup_rows, take_rows, unreadable
from histo_ray.store.replaced import replaced
from histo_ray.types import ChosenReceipt, Floats, KeptTiles, PartitionKey, Receipt, TileRows


class CountedPartition(NamedTuple):
    """A partition whose tiles, or some of them, are to be read, and how many there will be."""

    key: PartitionKey
    form: Form
    tiles: int
    """Number of tiles that are read: all, by its receipt, or those that are kept."""
    kept: KeptTiles | None = None
    """Tiles that are read; None: all."""

    def locate(self, root: Location) -> Location:
        """Where it is in the store at `root`."""
        return root.child(partition_path(self.key, self.form))

    @property
    def tile_ids(self) -> npt.NDArray[np.int64]:
        """(tiles,) tile_id of each tile that is read, ascending."""
        return _list_ids(self.tiles, self.kept)


class TilePiece(NamedTuple):
    """Some tiles of one slide that are read one after the other."""

    start: int
    """How many were read before the first."""
    coords: npt.NDArray[np.int32]
    """(n, 2) top-left (x, y), level-0 px."""
    tissue: npt.NDArray[np.float32]
    """(n,) tissue fraction, 0..1."""
    vectors: Float32s
    """(n, D)."""


def count_tiles(key: PartitionKey, form: Form, receipt: Receipt) -> CountedPartition:
    """Say which tiles of a partition are read: those of its receipt."""
    return CountedPartition(key, form, receipt.tile_count, kept_of(receipt))


def kept_of(receipt: Receipt) -> KeptTiles | None:
    """The tiles that a condition keeps of a partition; None: all."""
    return receipt.kept if isinstance(receipt, ChosenReceipt) else None


def tile_ids_of(receipt: Receipt) -> npt.NDArray[np.int64]:
    """tile_id of each tile of a receipt, ascending."""
    return _list_ids(receipt.tile_count, kept_of(receipt))


def _list_ids(count: int, kept: KeptTiles | None) -> npt.NDArray[np.int64]:
    return np.arange(count) if kept is None else kept.rows


def read_pieces(root: Location, partition: CountedPartition) -> Iterator[TilePiece]:
    """The tiles of a partition that are read; memory holds a block of rows and a piece.

    Kept tiles come in the same pieces as from a partition that holds no others, so that sums over
    them have the same bits.

    Raises:
        StoreError: It cannot be read, or has another number of tiles than its receipt said.
    """
    done = 0
    for rows in _read_kept(root, partition):
        for cut in cut_pieces(*rows.embeddings.shape):
            vectors = widen(rows.embeddings[cut])
            yield TilePiece(done + cut.start, rows.coords[cut], rows.tissue[cut], vectors)
        done += len(rows)
    check_count(root, partition, done)


def read_vectors(root: Location, partition: CountedPartition) -> Floats:
    """The embeddings of the tiles of a partition that are read, (N, D), as they are stored.

    Raises:
        StoreError: As `read_pieces`.
    """
    vectors = FORMATS[partition.form].read_bag(partition.locate(root))[1]
    check_whole(root, partition, len(vectors))
    return vectors if partition.kept is None else vectors[partition.kept.rows]


def read_partition_rows(location: Location, form: Form) -> Iterator[TileRows]:
    """All rows of a partition in order, in blocks.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        yield from FORMATS[form].read_rows(location)
    except UNREADABLE as error:
        raise unreadable(location.path, error) from None


def _read_kept(root: Location, partition: CountedPartition) -> Iterator[TileRows]:
    """Yield the rows that are read, in blocks as a partition of these alone would have them."""
    blocks = read_partition_rows(partition.locate(root), partition.form)
    if partition.kept is None:
        yield from blocks
        return
    first = next(blocks)
    dtype: Literal["float16", "float32"] = (
        "float16" if first.embeddings.dtype == np.float16 else "float32"
    )
    shape = Shape(partition.key.slide_id, first.embeddings.shape[1], dtype, tuple(first.texts))
    some = _drop_rows(root, partition, partition.kept, chain([first], blocks))
    yield from regroup_rows(some, shape, shape.block_rows)


def _drop_rows(
    root: Location, partition: CountedPartition, kept: KeptTiles, blocks: Iterable[TileRows]
) -> Iterator[TileRows]:
    start = 0
    for rows in blocks:
        low, high = np.searchsorted(kept.rows, [start, start + len(rows)])
        if low < high:
            yield take_rows(rows, kept.rows[low:high] - start)
        start += len(rows)
    check_whole(root, partition, start)


def check_whole(root: Location, partition: CountedPartition, found: int) -> None:
    """Hold the number of tiles of the whole partition against its receipt; see `check_count`."""
    if partition.kept is not None:
        partition = partition._replace(tiles=partition.kept.whole, kept=None)
    check_count(root, partition, found)


def check_count(root: Location, partition: CountedPartition, found: int) -> None:
    """Hold the number of tiles that were read against the partition's receipt.

    Raises:
        StoreError: They differ; ReplacedError where the receipt is another by now.
    """
    if found == partition.tiles:
        return
    location = partition.locate(root)
    if FORMATS[partition.form].read_receipt(location).tile_count != partition.tiles:
        raise replaced(location.path)
    raise StoreError(
        f"{location.path}: it holds {found} tiles, but its receipt says {partition.tiles}; run "
        "store verify"
    )
