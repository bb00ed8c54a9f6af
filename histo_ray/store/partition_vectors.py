"""The tiles of a partition, piece by piece, as float32."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import StoreError
from histo_ray.store.catalog import FORMATS
from histo_ray.store.half_floats import Float32s, cut_pieces, widen
from histo_ray.store.layout import Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.parquet import UNREADABLE
from histo_ray.store.partition import unreadable
from histo_ray.store.replaced import replaced
from histo_ray.types import Floats, PartitionKey, TileRows


class CountedPartition(NamedTuple):
    """A partition whose tiles are to be read, and how many its receipt promises."""

    key: PartitionKey
    form: Form
    tiles: int
    """Number of tiles, by its receipt."""

    def locate(self, root: Location) -> Location:
        """Where it is in the store at `root`."""
        return root.child(partition_path(self.key, self.form))


class TilePiece(NamedTuple):
    """Some consecutive tiles of one slide."""

    start: int
    """tile_id of the first."""
    coords: npt.NDArray[np.int32]
    """(n, 2) top-left (x, y), level-0 px."""
    tissue: npt.NDArray[np.float32]
    """(n,) tissue fraction, 0..1."""
    vectors: Float32s
    """(n, D)."""


def read_pieces(root: Location, partition: CountedPartition) -> Iterator[TilePiece]:
    """All tiles of a partition; memory holds a block of rows and a piece.

    Raises:
        StoreError: It cannot be read, or has another number of tiles than its receipt said.
    """
    done = 0
    for rows in read_partition_rows(partition.locate(root), partition.form):
        for cut in cut_pieces(*rows.embeddings.shape):
            vectors = widen(rows.embeddings[cut])
            yield TilePiece(done + cut.start, rows.coords[cut], rows.tissue[cut], vectors)
        done += len(rows)
    check_count(root, partition, done)


def read_vectors(root: Location, partition: CountedPartition) -> Floats:
    """All embeddings of a partition, (N, D), as they are stored.

    Raises:
        StoreError: As `read_pieces`.
    """
    vectors = FORMATS[partition.form].read_bag(partition.locate(root))[1]
    check_count(root, partition, len(vectors))
    return vectors


def read_partition_rows(location: Location, form: Form) -> Iterator[TileRows]:
    """All rows of a partition in order, in blocks.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        yield from FORMATS[form].read_rows(location)
    except UNREADABLE as error:
        raise unreadable(location.path, error) from None


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
