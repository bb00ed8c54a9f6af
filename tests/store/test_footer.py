from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.store.footer import find_receipt_text, footer_bytes
from histo_ray.store.location import location_of
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.partition import Shape, write_receipt
from tests.made_up import facts_of, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "S1.parquet"
    facts = facts_of("S1", site='Zürich "a" {b} \x18')
    ParquetFormat().write(
        path, Shape("S1", 5, "float16"), rows_of(9), lambda totals: write_receipt(facts, totals)
    )
    return path


def test_the_text_is_the_one_that_a_parquet_reader_finds(path: Path) -> None:
    data = path.read_bytes()
    wanted = pq.read_metadata(path).metadata[b"histo_ray"]
    assert find_receipt_text(data) == wanted
    size = footer_bytes(data)
    assert find_receipt_text(data[-size:]) == wanted
    assert find_receipt_text(data[-size + 1 :]) is None
    assert find_receipt_text(data[:-1]) is None
    assert find_receipt_text(b"") is None


def test_a_footer_with_two_receipts_is_left_to_a_parquet_reader(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("a", pa.int8())])
    with pq.ParquetWriter(tmp_path / "two", schema) as writer:
        writer.write_table(pa.table({"a": [1]}, schema=schema))
        writer.add_key_value_metadata({"histo_ray": '{"a": 1}'})
        writer.add_key_value_metadata({"other": 'x\x18\x09histo_ray\x18\x08{"b": 2}\0'})
    assert find_receipt_text((tmp_path / "two").read_bytes()) is None


def test_another_key_that_ends_alike_is_no_receipt(tmp_path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata(
        {"my_histo_ray": "{}", "histo_ray_x": "{}"}
    )
    pq.write_table(table, tmp_path / "other")
    assert find_receipt_text((tmp_path / "other").read_bytes()) is None


def test_an_entry_that_does_not_end_where_it_says_is_no_receipt() -> None:
    for length, found in ((8, True), (7, False), (9, False), (99, False)):
        entry = b"\x18\x09histo_ray\x18" + bytes([length]) + b'{"a":{}}\0'
        tail = entry + len(entry).to_bytes(4, "little") + b"PAR1"
        assert (find_receipt_text(tail) is not None) is found


def test_a_footer_longer_than_the_first_guess_is_read_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histo_ray.store.parquet.GUESS_BYTES", 100)
    wanted = pq.read_metadata(path).metadata[b"histo_ray"]
    monkeypatch.setattr(pq, "read_metadata", None)  # not needed
    assert ParquetFormat().read_receipt_text(location_of(str(path))) == wanted
