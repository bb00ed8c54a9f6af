"""The slides of an encoder, and all tiles of one of them as arrays, for training loops."""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.store.catalog import FORMATS
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.find import choose_slides
from histo_ray.store.location import Location
from histo_ray.store.partition import take_rows
from histo_ray.store.partition_vectors import (
    CountedPartition,
    check_whole,
    count_tiles,
    read_vectors,
)
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.replaced import look_at, read_again, unreplaced
from histo_ray.store.stated import Stated, correct_receipts
from histo_ray.text import name_some
from histo_ray.types import Floats

_log = logging.getLogger(__name__)


class StoredSlide(NamedTuple):
    """A slide of one encoder and tiling that has tiles."""

    partition: CountedPartition
    patient_id: str


class SlideTiles(NamedTuple):
    """The tiles of one slide that are read, in their order."""

    tile_ids: npt.NDArray[np.int32]
    """(N,) ascending."""
    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y), level-0 px."""
    tissue: npt.NDArray[np.float32]
    """(N,) tissue fraction, 0..1."""
    focus: npt.NDArray[np.float32]
    """(N,) variance of the Laplacian."""
    embeddings: Floats
    """(N, D) as stored; (N, 0) where they were not asked for."""


def choose_stored_slides(
    root: Location,
    encoder: str,
    tiling: str | None,
    slide_ids: Iterable[str] | None,
    stated: Mapping[str, Stated],
    where: str | None = None,
) -> list[StoredSlide]:
    """The slides of an encoder that have tiles, sorted, or in the order that they are asked for.

    Args:
        root: The store.
        encoder: Whose embeddings.
        tiling: Where the encoder has several.
        slide_ids: Only these; None: all.
        stated: The newest words on patients.
        where: Only tiles that this condition keeps, and slides that have some; None: all.

    Raises:
        ConfigError: `where` is no condition.
        StoreError: Nothing of this encoder, a slide that is not there, or several tilings and none
            is named; or slides were not measured so.
    """
    asked = None if slide_ids is None else list(dict.fromkeys(slide_ids))
    partitions = choose_slides(root, encoder, tiling, asked)
    whole = correct_receipts(read_receipts(root, partitions), stated)
    receipts = choose_tiles(root, partitions, whole, where)
    bare = [k.slide_id for k, one in receipts.items() if whole[k].tile_count > one.tile_count == 0]
    if bare:
        _log.warning("no tile %s, so slides are left out: %s", where, name_some(sorted(bare)))
    found = {
        key.slide_id: StoredSlide(
            count_tiles(key, partitions[key], receipt), receipt.slide.patient_id
        )
        for key, receipt in sorted(receipts.items())
        if receipt.tile_count
    }
    return [found[slide_id] for slide_id in (asked or found) if slide_id in found]


@read_again
def read_slide_tiles(root: Location, slide: StoredSlide, vectors: bool = True) -> SlideTiles:
    """The tiles of a slide that are to be read, of one version even if it is replaced meanwhile.

    Args:
        root: The store.
        slide: Which.
        vectors: Whether embeddings are read.

    Raises:
        StoreError: It cannot be read, or has another number of tiles than its receipt said.
    """
    partition = slide.partition
    location = partition.locate(root)
    with unreplaced(location.path, lambda: look_at(location, partition.form)):
        own = FORMATS[partition.form].read_columns(location)
        embeddings = read_vectors(root, partition) if vectors else None
        check_whole(root, partition, len(own))
    ids = partition.tile_ids
    if partition.kept is not None:
        own = take_rows(own, ids)
    found = own.embeddings if embeddings is None else embeddings
    return SlideTiles(ids.astype(np.int32), own.coords, own.tissue, own.focus, found)
