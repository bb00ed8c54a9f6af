"""Writes tiles as CSV with Arrow."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from histo_ray.types import TileRows


def write_csv(path: Path, rows: Iterable[TileRows], dim: int) -> None:
    """Write a header and a line for each tile; memory holds a block of rows.

    Args:
        path: Local file that is not there yet.
        rows: Blocks of consecutive tiles.
        dim: Length of their vectors.
    """
    schema = pa.schema(
        [("tile_id", pa.int32()), ("x", pa.int32()), ("y", pa.int32())]
        + [("tissue", pa.float32()), ("focus", pa.float32())]
        + [(f"e{at}", pa.float32()) for at in range(dim)]
    )
    start = 0
    with path.open("xb") as file, pa_csv.CSVWriter(file, schema) as writer:
        for block in rows:
            ids = np.arange(start, start + len(block), dtype=np.int32)
            numbers = (ids, *block.coords.T, block.tissue, block.focus)
            vectors = block.embeddings.astype(np.float32).T
            columns = [pa.array(np.ascontiguousarray(one)) for one in (*numbers, *vectors)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            start += len(block)
