"""Other programs read a store without us: as the README shows it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest
import xarray as xr

from histo_ray.store.store import Store
from histo_ray.types import TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
COUNTS = {"S1": 30, "S2": 7}
WIDTHS = {"narrow": 5, "wide": 9}


@pytest.fixture
def two_widths(store: Store, make_facts: MakeFacts, make_rows: MakeRows) -> Path:
    """Two slides under two encoders, whose vectors differ in length."""
    for encoder, dim in WIDTHS.items():
        for number, (slide_id, count) in enumerate(COUNTS.items()):
            facts = make_facts(slide_id, encoder, dim=dim)
            rows = make_rows(count, dim, seed=number)
            store.commit(facts.key, facts, rows)
    return Path(store._root.path)


def read_duckdb(folder: str) -> Any:
    found: Any = duckdb.sql(
        f"select * from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    )
    return found.df()


def read_pandas(folder: str) -> Any:
    return pd.read_parquet(folder)


def read_arrow(folder: str) -> Any:
    return ds.dataset(folder, partitioning="hive").to_table().to_pandas()


def read_polars(folder: str) -> Any:
    return pl.read_parquet(f"{folder}/*/*.parquet", hive_partitioning=True).to_pandas()


@pytest.mark.parametrize("encoder", WIDTHS)
@pytest.mark.parametrize("read", [read_duckdb, read_pandas, read_arrow, read_polars])
def test_every_engine_reads_the_folder_of_one_encoder(
    two_widths: Path, read: Callable[[str], Any], encoder: str
) -> None:
    table = read(f"{two_widths}/embeddings/encoder={encoder}")
    assert dict(table["slide_id"].value_counts()) == COUNTS
    assert {len(vector) for vector in table["embedding"]} == {WIDTHS[encoder]}
    assert table["tiling"].nunique() == 1
    assert {"tile_id", "x", "y", "tissue", "focus"} <= set(table.columns)


def test_xarray_opens_a_zarr_partition_as_tile_by_feature(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts("S1")
    store.commit(facts.key, facts, make_rows(30), format="zarr")
    path = next(Path(store._root.path).glob("embeddings/*/*/S1.zarr"))
    opened = xr.open_zarr(path, consolidated=False)
    dim = opened.sizes["feature"]
    assert dict(opened.sizes) == {"tile": 30, "feature": dim}
    assert opened["embedding"].dims == ("tile", "feature")
    assert opened["x"].dims == opened["tissue"].dims == ("tile",)
    bag = store.bag("S1", encoder=facts.key.encoder)
    assert np.array_equal(opened["embedding"].values, bag.embeddings)
    assert np.array_equal(opened["y"].values, bag.coords[:, 1])


def test_xarray_opens_an_exported_partition_and_one_without_tiles(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    for slide_id, count in {"S1": 12, "S2": 0}.items():
        facts = make_facts(slide_id, empty_reason="" if count else "no tissue")
        store.commit(facts.key, facts, make_rows(count))
    store.convert("zarr").check()
    for path, count in zip(
        sorted(Path(store._root.path).glob("embeddings/*/*/*.zarr")), [12, 0], strict=True
    ):
        assert xr.open_zarr(path, consolidated=False).sizes["tile"] == count


def test_partitions_without_names_of_dimensions_are_read_as_before(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.1.0 wrote none."""
    from histo_ray.store import zarr as form

    monkeypatch.setattr(form, "DIMENSIONS", None)
    monkeypatch.setattr(form, "COLUMN_DIMENSIONS", None)
    facts = make_facts("S1")
    store.commit(facts.key, facts, make_rows(30), format="zarr")
    path = next(Path(store._root.path).glob("embeddings/*/*/S1.zarr"))
    assert "dimension_names" not in json.loads((path / "embedding" / "zarr.json").read_text())
    assert store.bag("S1", encoder=facts.key.encoder).embeddings.shape[0] == 30
    assert store.verify() == (1, [])
