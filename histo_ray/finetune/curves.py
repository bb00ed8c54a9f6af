"""Learning curves: one row an epoch, as a table."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.schema import arrow_schema
from histo_ray.storage.native import native
from histo_ray.storage.seal import MARKS, seal_bytes

SCHEMA = "finetune_curves"


class CurveRow(NamedTuple):
    """One row of `schemas/finetune_curves.json`; nan where there is no figure."""

    step: str
    epoch: int
    rate: float
    loss: float
    accuracy: float
    held_out_loss: float
    held_out_accuracy: float
    images_per_s: float
    seconds: float


def write_curves(rows: Sequence[CurveRow]) -> bytes:
    """The table as Parquet, with its own digest in the footer."""
    schema = arrow_schema(SCHEMA)
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema)
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(MARKS)
    return seal_bytes(stream.getvalue())


def read_curves(data: bytes) -> list[CurveRow]:
    """The inverse of `write_curves`."""
    return [CurveRow(**row) for row in pq.read_table(native(data)).to_pylist()]
