"""One contract for both forms of a partition."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.errors import StoreError
from histo_ray.store import parquet, zarr
from histo_ray.store.location import Location, location_of
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.partition import (
    PartitionFacts,
    PartitionFormat,
    Shape,
    join_rows,
    regroup_rows,
    write_receipt,
)
from histo_ray.store.zarr import ZarrFormat
from histo_ray.types import Receipt, TileRows

MakeFacts = Callable[..., PartitionFacts]
MakeRows = Callable[..., Iterator[TileRows]]


class PartitionContract:
    """What every form does; each form's class below adds what only it does."""

    format: PartitionFormat

    @pytest.fixture
    def write(
        self, tmp_path: Path, make_facts: MakeFacts, make_rows: MakeRows
    ) -> Callable[..., tuple[Location, Receipt, list[TileRows]]]:
        def write(
            count: int = 301, dim: int = 5, dtype: Any = "float16", **changes: Any
        ) -> tuple[Location, Receipt, list[TileRows]]:
            reason = "" if count else "no tissue"
            facts = make_facts(dim=dim, dtype=dtype, empty_reason=reason, **changes)
            rows = list(make_rows(count, dim, dtype))
            path = tmp_path / f"part.{self.format.form}"
            shape = Shape("S1", dim, dtype)
            receipt = self.format.write(path, shape, rows, lambda t: write_receipt(facts, t))
            return location_of(str(path)), receipt, rows

        return write

    @pytest.mark.parametrize("dtype", ["float16", "float32"])
    @pytest.mark.parametrize(("count", "dim"), [(1, 1), (301, 5), (9000, 3), (3000, 700)])
    def test_what_is_written_is_read_bit_by_bit(
        self, write: Any, count: int, dim: int, dtype: str
    ) -> None:
        place, _, rows = write(count, dim, dtype)
        whole = join_rows(rows)
        coords, vectors = self.format.read_bag(place)
        assert coords.dtype == np.int32
        np.testing.assert_array_equal(coords, whole.coords)
        assert vectors.dtype == dtype
        assert vectors.tobytes() == whole.embeddings.tobytes()  # -0.0 stays -0.0
        again = join_rows(list(self.format.read_rows(place)))
        assert again.embeddings.tobytes() == whole.embeddings.tobytes()
        np.testing.assert_array_equal(again.tissue, whole.tissue)
        np.testing.assert_array_equal(again.focus, whole.focus)
        assert self.format.find_problems(place) == []

    def test_not_finite_values_and_zeros_come_back(
        self, tmp_path: Path, make_facts: MakeFacts
    ) -> None:
        vectors = np.zeros((4, 3), np.float32)
        vectors[1] = [np.inf, -np.inf, np.nan]
        vectors[3] = -0.0
        block = TileRows(
            np.array([[0, 0], [1, 0], [1199, 0], [1199, 699]], np.int32),
            np.array([0, 1, 0.5, 0.25], np.float32),
            np.array([np.inf, 0, 1, 2], np.float32),
            vectors,
        )
        facts = make_facts(dim=3, dtype="float32")
        path = tmp_path / "p"
        self.format.write(
            path, Shape("S1", 3, "float32"), [block], lambda t: write_receipt(facts, t)
        )
        coords, found = self.format.read_bag(location_of(str(path)))
        assert found.tobytes() == vectors.tobytes()
        np.testing.assert_array_equal(coords, block.coords)

    def test_the_receipt_digests_what_was_written(self, write: Any) -> None:
        place, receipt, rows = write()
        assert self.format.read_receipt(place) == receipt
        whole = join_rows(rows)
        assert receipt.tile_count == 301
        assert receipt.vectors_sha256 == hashlib.sha256(whole.embeddings.tobytes()).hexdigest()
        columns = hashlib.sha256(np.arange(301, dtype="<i4").tobytes())
        for column in (whole.coords[:, 0], whole.coords[:, 1], whole.tissue, whole.focus):
            columns.update(column.tobytes())
        assert receipt.columns_sha256 == columns.hexdigest()

    def test_a_slide_without_tissue_is_a_partition(self, write: Any) -> None:
        place, receipt, _ = write(0)
        assert (receipt.tile_count, receipt.empty_reason) == (0, "no tissue")
        coords, vectors = self.format.read_bag(place)
        assert coords.shape == (0, 2)
        assert vectors.shape == (0, 5)
        assert vectors.dtype == np.float16
        assert sum(len(rows) for rows in self.format.read_rows(place)) == 0
        assert self.format.find_problems(place) == []

    def test_no_rows_need_a_reason(self, make_facts: MakeFacts, tmp_path: Path) -> None:
        facts = make_facts()
        with pytest.raises(ValueError, match="0 tiles and empty_reason ''"):
            self.format.write(
                tmp_path / "p", Shape("S1", 5, "float16"), [], lambda t: write_receipt(facts, t)
            )

    def test_vectors_of_another_kind_are_refused(
        self, make_facts: MakeFacts, make_rows: MakeRows, tmp_path: Path
    ) -> None:
        facts = make_facts()
        for number, rows in enumerate([make_rows(4, 6), make_rows(4, 5, "float32")]):
            with pytest.raises(ValueError, match="instead of vectors of 5 float16"):
                self.format.write(
                    tmp_path / f"{number}",
                    Shape("S1", 5, "float16"),
                    rows,
                    lambda t: write_receipt(facts, t),
                )

    def test_what_cannot_be_proven_is_decoded_with_the_same_result(
        self, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place, _, rows = write(3000, 700)
        straight = self.format.read_bag(place)[1]
        monkeypatch.setattr(parquet, "is_single_page", lambda head, size: False)
        monkeypatch.setattr(zarr, "read_shards", lambda place, array, rows: None)
        decoded = self.format.read_bag(place)[1]
        assert straight.tobytes() == decoded.tobytes() == join_rows(rows).embeddings.tobytes()
        assert decoded.dtype == straight.dtype

    def test_a_missing_partition_is_named(self, tmp_path: Path) -> None:
        place = location_of(str(tmp_path / "nowhere"))
        for read in (self.format.read_receipt, self.format.read_bag):
            with pytest.raises(StoreError, match=r"nowhere.*not readable.*store verify"):
                read(place)


class TestParquet(PartitionContract):
    format = ParquetFormat()

    def test_bags_are_read_without_decoding(
        self, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place, _, rows = write(3000, 700)
        monkeypatch.delattr(parquet, "_decode")
        assert self.format.read_bag(place)[1].tobytes() == join_rows(rows).embeddings.tobytes()

    def test_a_file_of_many_pages_that_claims_one_is_decoded(
        self, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = parquet._writer_options
        small = {"data_page_size": 10_000, "write_batch_size": 64}
        monkeypatch.setattr(parquet, "_writer_options", lambda schema: options(schema) | small)
        place, _, rows = write(3000, 70)
        assert self.format.read_bag(place)[1].tobytes() == join_rows(rows).embeddings.tobytes()
        assert self.format.find_problems(place) == []

    def test_scalar_columns_have_statistics_and_vectors_none(self, write: Any) -> None:
        place, _, _ = write()
        group = pq.read_metadata(place.path).row_group(0)
        columns = {group.column(i).path_in_schema: group.column(i) for i in range(7)}
        assert columns["x"].statistics.max == 1199
        assert columns["y"].statistics.max == 699
        assert not columns["embedding.list.element"].is_stats_set

    def test_a_truncated_file_is_an_error_of_the_store(self, write: Any) -> None:
        place, _, _ = write()
        os.truncate(place.path, Path(place.path).stat().st_size - 9)
        with pytest.raises(StoreError, match="not readable"):
            self.format.read_receipt(place)

    def test_pandas_reads_it(self, write: Any) -> None:
        import pandas as pd

        place, _, rows = write()
        frame = pd.read_parquet(place.path)
        assert list(frame.columns[:3]) == ["slide_id", "tile_id", "x"]
        np.testing.assert_array_equal(frame["embedding"][7], join_rows(rows).embeddings[7])


class TestZarr(PartitionContract):
    format = ZarrFormat()

    def test_bags_are_read_without_zarr(self, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        place, _, rows = write(3000, 700)
        monkeypatch.delattr(zarr, "_on_this_machine")
        assert self.format.read_bag(place)[1].tobytes() == join_rows(rows).embeddings.tobytes()

    def test_zeros_are_stored_like_other_values(
        self, tmp_path: Path, make_facts: MakeFacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        n = 100
        zeros = np.zeros(n, np.float32)
        block = TileRows(np.zeros((n, 2), np.int32), zeros, zeros, np.zeros((n, 3), np.float16))
        facts = make_facts(dim=3)
        self.format.write(
            tmp_path / "p",
            Shape("S1", 3, "float16"),
            [block],
            lambda totals: write_receipt(facts, totals),
        )
        monkeypatch.delattr(zarr, "_on_this_machine")
        assert not self.format.read_bag(location_of(str(tmp_path / "p")))[1].any()

    def test_zarr_itself_reads_it(self, write: Any) -> None:
        import zarr as library

        place, receipt, rows = write(9000, 300)
        group: Any = library.open_group(place.path, mode="r")
        np.testing.assert_array_equal(group["embedding"][:], join_rows(rows).embeddings)
        assert Receipt.model_validate(group.attrs["histo_ray"]) == receipt

    def test_a_slide_is_a_few_objects(self, write: Any) -> None:
        place, _, _ = write(15000, 300)
        root = json.loads((Path(place.path) / "zarr.json").read_text())
        assert len(root["attributes"]["histo_ray_files"]) <= 14

    def test_a_shard_in_another_order_is_left_to_zarr(self, write: Any) -> None:
        place, _, _ = write(1500, 700)
        shard = Path(place.path) / "embedding/c/0/0"
        data = bytearray(shard.read_bytes())
        data[-20:-12] = (1 << 40).to_bytes(8, "little")
        shard.write_bytes(data)
        with pytest.raises(Exception, match=r"(?i)checksum"):  # zarr's own check of the index
            self.format.read_bag(place)


@given(
    sizes=st.lists(st.integers(0, 20), max_size=8),
    size=st.integers(1, 15),
)
def test_regrouping_keeps_every_row_in_order(sizes: list[int], size: int) -> None:
    count = 0
    blocks = []
    for n in sizes:
        ids = np.arange(count, count + n, dtype=np.float32)
        coords = np.stack([ids, -ids], axis=1).astype(np.int32)
        blocks.append(TileRows(coords, ids, ids, ids[:, None]))
        count += n
    groups = list(regroup_rows(blocks, Shape("S", 1, "float32"), size))
    assert [len(group) for group in groups[:-1]] == [size] * (len(groups) - 1)
    joined = [int(v) for group in groups for v in group.embeddings[:, 0]]
    assert joined == list(range(count))
    assert all(len(group) <= size and len(group) for group in groups)
