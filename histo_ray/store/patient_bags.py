"""Slides, tiles and sites of each patient in a store, and all tiles of a patient as one bag."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histo_ray.errors import StoreError
from histo_ray.store.catalog import Partitions
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import CountedPartition, count_tiles, read_vectors
from histo_ray.types import Floats, PartitionKey, Receipt

if TYPE_CHECKING:
    import pandas as pd


def tabulate_patients(receipts: dict[PartitionKey, Receipt]) -> "pd.DataFrame":
    """Tabulate the patients of some partitions, one row each.

    Args:
        receipts: Of partitions of one encoder and tiling.

    Returns:
        patient_id (sorted), slides (number of those with tiles), tiles, sites (tuple, sorted,
        without unknown ones), slide_ids (tuple of those with tiles, sorted). Patients whose slides
        all are without tiles have 0 slides.
    """
    import pandas as pd

    known: dict[str, list[Receipt]] = {}
    for _, receipt in sorted(receipts.items()):
        known.setdefault(receipt.slide.patient_id, []).append(receipt)
    rows = []
    for patient, of_patient in sorted(known.items()):
        full = [receipt for receipt in of_patient if receipt.tile_count]
        rows.append(
            {
                "patient_id": patient,
                "slides": len(full),
                "tiles": sum(receipt.tile_count for receipt in full),
                "sites": tuple(sorted({r.slide.site for r in of_patient} - {""})),
                "slide_ids": tuple(receipt.slide.slide_id for receipt in full),
            }
        )
    return pd.DataFrame(rows, columns=["patient_id", "slides", "tiles", "sites", "slide_ids"])


def find_patient_partitions(
    root: Location,
    partitions: Partitions,
    receipts: Mapping[PartitionKey, Receipt],
    patient_id: str,
    where: str | None = None,
) -> list[CountedPartition]:
    """The partitions of one patient that have tiles, among some of one encoder and tiling.

    Args:
        root: The store.
        partitions: Form of each.
        receipts: With patients as the newest manifest says.
        patient_id: Who.
        where: Condition on the tiles that are read; None: all are.

    Raises:
        StoreError: There are none.
    """
    own = {key: one for key, one in receipts.items() if one.slide.patient_id == patient_id}
    chosen = choose_tiles(root, partitions, own, where)
    found = [
        count_tiles(key, partitions[key], receipt)
        for key, receipt in chosen.items()
        if receipt.tile_count
    ]
    if not found:
        encoder = next(iter(partitions)).encoder
        kept = "" if where is None or not own else f" {where}"
        raise StoreError(
            f"patient {patient_id!r} of encoder {encoder}: the store holds no tiles{kept}; extract "
            "the slides, or leave the patient out"
        )
    return found


def read_patient_bag(
    root: Location, partitions: Sequence[CountedPartition], most: int | None, seed: int
) -> Floats:
    """Read all tiles of some slides, or some drawn from them at random.

    Memory holds the result and one slide.

    Args:
        root: The store.
        partitions: The slides in order; at least one tile in all.
        most: Draw so many where there are more; None: take all.
        seed: Of the draw; with the same slides and counts the same tiles, whichever the encoder.

    Returns:
        (n, D) in the order of slides and tiles, as stored.

    Raises:
        StoreError: A partition cannot be read.
    """
    total = sum(partition.tiles for partition in partitions)
    count = total if most is None else min(most, total)
    drawn: npt.NDArray[np.int64] | None = None
    if count < total:
        random = np.random.default_rng(seed)
        drawn = np.sort(random.choice(total, count, replace=False))
    bag: Floats | None = None
    start = filled = 0
    for partition in partitions:
        end = start + partition.tiles
        chosen = None if drawn is None else drawn[(drawn >= start) & (drawn < end)]
        if chosen is None or len(chosen):
            vectors = read_vectors(root, partition)
            rows = vectors if chosen is None else vectors[chosen - start]
            if len(rows) == count:
                return rows
            if bag is None:
                bag = np.empty((count, rows.shape[1]), rows.dtype)
            bag[filled : filled + len(rows)] = rows
            filled += len(rows)
        start = end
    if bag is None:
        raise ValueError("the partitions hold no tiles")
    return bag
