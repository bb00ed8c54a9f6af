"""The proof that vectors lie in one page, on files of pyarrow's own making."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.store.pages import LAYOUT, LAYOUT_KEY, is_single_page, locate_chunks

ROWS, DIM = 1030, 7


def write(path: Path, values: Any = None, **options: Any) -> bytes:
    """A file of ROWS x DIM values: zeros, unless given, in which no displaced read would show."""
    kind = pa.list_(pa.field("element", pa.float16(), nullable=False), DIM)
    schema = pa.schema([pa.field("x", pa.int32()), pa.field("embedding", kind, nullable=False)])
    flat = pa.array(np.asarray(np.zeros(ROWS * DIM) if values is None else values, np.float16))
    vectors = pa.FixedSizeListArray.from_arrays(flat, type=kind)
    table = pa.table([pa.array(range(ROWS), pa.int32()), vectors], schema=schema)
    settings = {"compression": "NONE", "use_dictionary": False, "data_page_size": 1 << 30}
    with pq.ParquetWriter(path, schema, **(settings | options)) as writer:
        writer.write_table(table, row_group_size=ROWS)
        writer.add_key_value_metadata({LAYOUT_KEY: LAYOUT})
    return path.read_bytes()


def prove(data: bytes, path: Path) -> bool:
    chunks = locate_chunks(pq.read_metadata(path), DIM, 2)
    if chunks is None:
        return False
    (chunk,) = chunks
    assert (chunk.start, chunk.rows, chunk.value_bytes) == (0, ROWS, ROWS * DIM * 2)
    return is_single_page(data[chunk.offset : chunk.offset + chunk.head_bytes], chunk.value_bytes)


def test_one_plain_page_is_proven(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    assert prove(write(path), path)
    assert prove(write(path, write_page_checksum=True), path)


@pytest.mark.parametrize(
    "options",
    [
        {"data_page_size": 2000, "write_batch_size": 100},
        {"use_dictionary": True},
        {"compression": "ZSTD"},
        {"data_page_version": "2.0"},
        {"use_dictionary": False, "use_byte_stream_split": ["embedding.list.element"]},
    ],
)
def test_anything_else_is_left_to_pyarrow(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    assert not prove(write(path, **options), path)


def test_a_file_that_does_not_claim_the_layout_is_left_to_pyarrow(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path)
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert locate_chunks(pq.read_metadata(path), DIM, 2) is None


def test_a_page_of_another_type_or_with_other_lengths_is_not_proven(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    data = write(path)
    (chunk,) = locate_chunks(pq.read_metadata(path), DIM, 2) or []
    head = data[chunk.offset : chunk.offset + chunk.head_bytes]
    assert is_single_page(head, chunk.value_bytes)
    for at in range(8):  # page type, both sizes, and the ids of their fields
        changed = bytearray(head)
        changed[at] ^= 4
        assert not is_single_page(bytes(changed), chunk.value_bytes), at
    assert not is_single_page(head, chunk.value_bytes - 14)
    assert not is_single_page(head + bytes(14), chunk.value_bytes - 14)


def test_compressed_values_as_long_as_plain_ones_are_left_to_pyarrow(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, values=np.random.default_rng(1).random(ROWS * DIM), compression="SNAPPY")
    column = pq.read_metadata(path).row_group(0).column(1)
    assert column.total_compressed_size > ROWS * DIM * 2
    assert locate_chunks(pq.read_metadata(path), DIM, 2) is None


def test_a_cut_header_is_no_page() -> None:
    assert not is_single_page(b"", 100)
    assert not is_single_page(b"\x15", 100)
    assert not is_single_page(b"\x15\xff\xff\xff", 100)
