"""Receipts of many partitions as one table, and which of its rows still hold. Pure.

A row tells what a partition's receipt says and how the file looked before it was read: size, time
of change of content, time of change of the file. A row holds as long as the file looks like that.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.schema import arrow_schema, column_names
from histo_ray.store.layout import Form
from histo_ray.store.location import Stamp
from histo_ray.store.receipts import ReceiptParser
from histo_ray.types import PartitionKey, Receipt

if TYPE_CHECKING:
    import pandas as pd

NAME, TEXT = "name", "receipt"
STAMPS = Stamp._fields
SLIDES = tuple(column_names("slides"))
UNKNOWN = ("width", "height", "mpp_x", "mpp_y", "tile_px", "tile_mpp")
"""Columns of `schemas/slides.json` that are NULL where a receipt says 0 or nothing."""


class Listed(NamedTuple):
    """A partition as a listing of its folder tells of it."""

    name: str
    """The slide's id, by its file's name."""
    form: Form
    stamp: Stamp


NEVER = Stamp(0, 0, 0)
"""Stamp of a file that no listing showed."""

LISTING = pa.schema(
    [(NAME, pa.string()), ("format", pa.string()), *((name, pa.int64()) for name in STAMPS)]
)
"""How a table tells of what is `Listed`."""


def table_schema() -> pa.Schema:
    """The columns of `schemas/slides.json`, the file's name and stamp, and the receipt's text."""
    return pa.schema(
        [
            pa.field(NAME, pa.string(), nullable=False),
            *(pa.field(name, pa.int64(), nullable=False) for name in STAMPS),
            *(
                field.remove_metadata().with_nullable(field.name in UNKNOWN)
                for field in arrow_schema("slides")
            ),
            pa.field(TEXT, pa.large_binary(), nullable=False),
        ]
    )


def tabulate(
    rows: Iterable[tuple[PartitionKey, Listed, Receipt, bytes]],
) -> pa.Table:
    """One row a partition.

    Args:
        rows: Key, how its file looked before it was read, receipt, and the receipt's text.
    """
    cells = [
        (listed.name, *listed.stamp, *_slide_cells(key, listed.form, receipt), text)
        for key, listed, receipt, text in rows
    ]
    schema = table_schema()
    columns = list(zip(*cells, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
    )


def _slide_cells(key: PartitionKey, form: Form, receipt: Receipt) -> tuple[Any, ...]:
    """One row of `schemas/slides.json`, in the order of its columns."""
    slide = receipt.slide
    row = {
        "slide_id": slide.slide_id,
        "patient_id": slide.patient_id,
        "site": slide.site,
        "encoder": key.encoder,
        "tiling": key.tiling,
        "format": form,
        "n_tiles": receipt.tile_count,
        "dim": receipt.encoder.dim,
        "precision": receipt.encoder.precision,
        "device": receipt.encoder.device,
        "width": slide.size_px[0] or None,
        "height": slide.size_px[1] or None,
        "mpp_x": slide.mpp[0] or None,
        "mpp_y": slide.mpp[1] or None,
        "mpp_source": slide.mpp_source,
        "tile_px": receipt.tiling.settings.get("tile_px") or None,
        "tile_mpp": receipt.tiling.settings.get("mpp") or None,
        "empty_reason": receipt.empty_reason,
        "path": slide.path,
    }
    return tuple([row[name] for name in SLIDES])


def as_frame(table: pa.Table) -> "pd.DataFrame":
    """Columns of a table of slides for pandas: whole numbers stay whole where some are unknown."""
    frame: pd.DataFrame = table.to_pandas()
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_integer(kind) and table[name].null_count:
            cells = table[name].to_pandas(integer_object_nulls=True)
            frame[name] = cells.astype("Int32" if kind == pa.int32() else "Int64")
    return frame


def split_listing(known: pa.Table, listed: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows that still hold, and partitions that none tells of.

    Args:
        known: Some columns of a table, among them those of a listing.
        listed: What is there now.

    Returns:
        The rows of `known` whose files look as they did, in the order of `listed`, and the other
        rows of `listed`.
    """
    at = pc.index_in(listed[NAME], value_set=known[NAME].combine_chunks())
    holds = pc.is_valid(at)
    for column in ("format", *STAMPS):
        same = pc.equal(listed[column], known[column].take(at))
        holds = pc.and_(holds, pc.fill_null(same, False))
    return known.take(at.filter(holds)), listed.filter(pc.invert(holds))


def to_listed(table: pa.Table) -> list[Listed]:
    """The rows of a listing."""
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [Listed(name, form, Stamp(*stamp)) for name, form, *stamp in rows]


def changed_ns(table: pa.Table) -> pa.ChunkedArray:
    """When each row's file last changed; the end of time where no listing showed it."""
    last = pc.max_element_wise(table["mtime_ns"], table["ctime_ns"])
    return pc.if_else(pc.equal(last, 0), 2**63 - 1, last)


def parse_table(table: pa.Table) -> Iterator[tuple[PartitionKey, Receipt]]:
    """The receipts of a table with encoder, tiling, name and receipt, in its order."""
    parser = ReceiptParser()
    for batch in table.select(["encoder", "tiling", NAME, TEXT]).to_batches(max_chunksize=4096):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            key = PartitionKey(*row[:3])
            yield key, parser.parse(row[3], f"catalogue row {key}")
