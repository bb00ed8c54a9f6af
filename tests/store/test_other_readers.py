"""Other programs read a store without us: as the README shows it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.dataset as ds
import pytest
import xarray as xr
import zarr

import histo_ray as hr
from histo_ray.store.store import Store, open_store
from histo_ray.types import TileRows
from tests.made_up import facts_of, rows_of

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
COUNTS = {"S1": 30, "S2": 7}
WIDTHS = {"narrow": 5, "wide": 9}


@pytest.fixture(scope="module")
def two_widths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides under two encoders, whose vectors differ in length."""
    store = open_store(str(tmp_path_factory.mktemp("readers") / "store"), create=True)
    for encoder, dim in WIDTHS.items():
        for number, (slide_id, count) in enumerate(COUNTS.items()):
            facts = facts_of(slide_id, encoder, dim=dim)
            store.commit(facts.key, facts, rows_of(count, dim, seed=number))
    return Path(store.root.path)


@pytest.fixture(scope="module")
def two_widths_zarr(two_widths: Path) -> Path:
    """The same as Zarr."""
    copy = open_store(str(two_widths.parent / "zarr"), create=True)
    open_store(str(two_widths)).convert("zarr", copy).check()
    return Path(copy.root.path)


Vectors = dict[str, npt.NDArray[np.float16]]
"""(N, D) of each slide."""


def by_slide(table: Any) -> Vectors:
    """Vectors of a pandas table, in the order of tiles."""
    table = table.sort_values(["slide_id", "tile_id"])
    assert table["tiling"].nunique() == 1
    assert {"x", "y", "tissue", "focus"} <= set(table.columns)
    return {
        str(name): np.stack([np.asarray(vector, np.float16) for vector in rows["embedding"]])
        for name, rows in table.groupby("slide_id")
    }


def read_duckdb(folder: Path) -> Vectors:
    found: Any = duckdb.sql(
        f"select * from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    )
    return by_slide(found.df())


def read_script(folder: Path) -> Vectors:
    """A DuckDB that was given the script of views; CI's has no program `duckdb`."""
    with duckdb.connect() as connection:
        connection.execute(open_store(str(folder.parents[1])).view_script())
        encoder = folder.name.removeprefix("encoder=")
        found: Any = connection.execute("from embeddings where encoder = ?", [encoder])
        return by_slide(found.df())


def read_sql(folder: Path) -> Vectors:
    encoder = folder.name.removeprefix("encoder=")
    store = open_store(str(folder.parents[1]))
    return by_slide(store.sql(f"from embeddings where encoder = '{encoder}'").df())


def read_pandas(folder: Path) -> Vectors:
    return by_slide(pd.read_parquet(folder))


def read_arrow(folder: Path) -> Vectors:
    return by_slide(ds.dataset(folder, partitioning="hive").to_table().to_pandas())


def read_polars(folder: Path) -> Vectors:
    pl = pytest.importorskip("polars", reason="polars is not installed; the group dev has it")
    lazy = pl.scan_parquet(f"{folder}/*/*.parquet", hive_partitioning=True)
    return by_slide(lazy.collect().to_pandas())


def read_torch(folder: Path) -> Vectors:
    encoder = folder.name.removeprefix("encoder=")
    bags: Any = hr.open_store(str(folder.parents[1])).to_torch(encoder)
    return {
        bag["slide_id"]: bag["embeddings"].numpy() for bag in (bags[i] for i in range(len(bags)))
    }


def read_zarr(folder: Path) -> Vectors:
    arrays: Any = {
        path.stem: zarr.open_array(path / "embedding", mode="r")
        for path in sorted(folder.glob("*/*.zarr"))
    }
    return {name: array[:] for name, array in arrays.items()}


def read_xarray(folder: Path) -> Vectors:
    return {
        path.stem: xr.open_zarr(path, consolidated=False)["embedding"].values
        for path in sorted(folder.glob("*/*.zarr"))
    }


OF_PARQUET = [read_duckdb, read_script, read_sql, read_pandas, read_arrow, read_polars, read_torch]
OF_ZARR = [read_sql, read_torch, read_zarr, read_xarray]


def check_engine(read: Callable[[Path], Vectors], root: Path) -> None:
    """Hold what an engine reads of encoders of two widths against the store's own bags."""
    store = open_store(str(root))
    for encoder, width in WIDTHS.items():
        found = read(root / f"embeddings/encoder={encoder}")
        assert {name: vectors.shape for name, vectors in found.items()} == {
            name: (count, width) for name, count in COUNTS.items()
        }
        for name, vectors in found.items():
            assert vectors.dtype == np.float16
            assert np.array_equal(vectors, store.bag(name, encoder).embeddings)


@pytest.mark.parametrize("read", OF_PARQUET)
def test_every_engine_reads_the_same_vectors_of_two_widths(
    two_widths: Path, read: Callable[[Path], Vectors]
) -> None:
    check_engine(read, two_widths)


@pytest.mark.parametrize("read", OF_ZARR)
def test_every_engine_of_zarr_reads_the_same_vectors_of_two_widths(
    two_widths_zarr: Path, read: Callable[[Path], Vectors]
) -> None:
    check_engine(read, two_widths_zarr)


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
