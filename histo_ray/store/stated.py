"""Patient, site and synthetic mark of slides by the newest manifest, where newer than receipts.

A receipt keeps what the manifest said when the slide was extracted. Every extraction writes down in
its run table what its manifest says of every slide, of those too that were stored before. For who
is one patient, for sites and for the mark `synthetic` the newest run that names a slide decides; a
slide that no readable run table names is as its receipt says.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.store.layout import RUNS
from histo_ray.store.location import Location
from histo_ray.types import Receipt

COLUMNS = ("patient_id", "site", "synthetic")

Key = TypeVar("Key")


class Stated(NamedTuple):
    """Patient, site and synthetic mark of one slide, by its newest manifest."""

    patient_id: str
    site: str | None
    """None: from a run table that did not keep sites yet; the receipt's holds."""
    synthetic: bool
    first_synthetic: bool
    """The oldest word on it, which the slide was extracted under."""


def read_stated(root: Location) -> dict[str, Stated]:
    """The newest word on each slide that a run table names, by slide_id.

    A table that cannot be read is passed over; `read_runs` names it.
    """
    stated: dict[str, Stated] = {}
    for name in root.child(RUNS).names():  # a run's id begins with the time of its start
        if not name.endswith(".parquet"):
            continue
        try:
            with root.child(f"{RUNS}/{name}").open() as file:
                parquet = pq.ParquetFile(file)
                there = [column for column in COLUMNS if column in parquet.schema_arrow.names]
                table = parquet.read(columns=["slide_id", *there])
        except (OSError, KeyError, pa.ArrowException):
            continue
        if "patient_id" not in there:
            continue
        for row in zip(*(_column(table, column) for column in ("slide_id", *COLUMNS)), strict=True):
            slide, patient, site, synthetic = row
            if not patient:  # a tile set
                continue
            known = stated.get(slide)
            first = bool(synthetic) if known is None else known.first_synthetic
            if site is None and known is not None and known.patient_id == patient:
                site = known.site
            stated[slide] = Stated(patient, site, bool(synthetic), first)
    return stated


def correct_receipt(receipt: Receipt, stated: Mapping[str, Stated]) -> Receipt:
    """A receipt with the newest patient and site; the same object where they are as it says."""
    word = stated.get(receipt.slide.slide_id)
    if word is None:
        return receipt
    site = receipt.slide.site if word.site is None else word.site
    if (word.patient_id, site) == (receipt.slide.patient_id, receipt.slide.site):
        return receipt
    slide = receipt.slide.model_copy(update={"patient_id": word.patient_id, "site": site})
    return receipt.model_copy(update={"slide": slide})


def correct_receipts(
    receipts: Mapping[Key, Receipt], stated: Mapping[str, Stated]
) -> dict[Key, Receipt]:
    """Receipts with the newest patients and sites, in the same order."""
    return {key: correct_receipt(receipt, stated) for key, receipt in receipts.items()}


def correct_slides(table: pa.Table, stated: Mapping[str, Stated]) -> pa.Table:
    """The columns patient_id and site of a table of slides, as far as it has them, corrected.

    Args:
        table: With slide_id.
        stated: The newest words.
    """
    if not stated:
        return table
    slides = table["slide_id"].to_pylist()
    for name in ("patient_id", "site"):
        if name in table.column_names:
            at = table.column_names.index(name)
            cells = _override(slides, table[name].to_pylist(), stated, name)
            table = table.set_column(at, table.schema.field(name), pa.array(cells, pa.string()))
    return table


def _override(
    slides: Iterable[str], cells: Iterable[str], stated: Mapping[str, Stated], name: str
) -> list[str]:
    words = (getattr(stated[slide], name) if slide in stated else None for slide in slides)
    return [cell if word is None else word for word, cell in zip(words, cells, strict=True)]


def _column(table: pa.Table, name: str) -> list[object]:
    return table[name].to_pylist() if name in table.column_names else [None] * len(table)
