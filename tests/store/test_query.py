"""SQL through the store's views, and by a DuckDB that knows nothing of us."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from histo_ray.store.partition import join_rows
from histo_ray.store.query import _needs_vectors
from histo_ray.store.store import Store, open_store
from histo_ray.types import TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
COUNTS = {"TCGA-05-4244-01Z": 130, "TCGA-05-4249-01Z": 75}

MEAN_PER_SLIDE = """
SELECT slide_id, list(mean ORDER BY i) AS embedding
FROM (
    SELECT slide_id, i, avg(value) AS mean
    FROM (
        SELECT slide_id, unnest(embedding) AS value, generate_subscripts(embedding, 1) AS i
        FROM read_parquet('STORE/embeddings/*/*/*.parquet', hive_partitioning = true)
        WHERE encoder = 'e'
    )
    GROUP BY slide_id, i
)
GROUP BY slide_id ORDER BY slide_id
"""

TISSUE_BY_MUTATION = """
SELECT m."TP53", count(*) AS tiles
FROM read_parquet('STORE/embeddings/*/*/*.parquet', hive_partitioning = true) AS t
JOIN read_csv('MUTATIONS') AS m ON left(t.slide_id, 12) = m.patient_id
WHERE t.encoder = 'e' AND t.tissue > 0.8
GROUP BY ALL ORDER BY ALL
"""

NEIGHBOURS = """
WITH tiles AS (
    SELECT slide_id, tile_id, x, y, embedding::FLOAT[5] AS v
    FROM read_parquet('STORE/embeddings/*/*/*.parquet', hive_partitioning = true)
    WHERE encoder = 'e'
), mine AS (
    SELECT v FROM tiles WHERE slide_id = 'TCGA-05-4249-01Z' AND tile_id = 7
)
SELECT t.slide_id, t.tile_id, t.x, t.y, array_cosine_similarity(t.v, mine.v) AS similarity
FROM tiles AS t, mine ORDER BY similarity DESC LIMIT 5
"""

CONDITIONS = [
    "slide_id = 'TCGA-05-4249-01Z' and encoder = 'f'",
    "slide_id in ('TCGA-05-4249-01Z', 'none') and tile_id between 3 and 50",
    "tissue > 0.8 or encoder like 'f%'",
    "embedding is not null and tiling = 'abc123'",
    "embedding[1] > 0",
    "slide_id is null",
    "slide_id = 'O''Brien'",
]


@pytest.fixture
def root(tmp_path: Path, make_facts: MakeFacts, make_rows: MakeRows) -> Path:
    """Two slides of `e`, and of `f` with longer vectors, which queries for `e` must not see."""
    path = tmp_path / "store"
    store = open_store(str(path), create=True)
    for number, (slide_id, count) in enumerate(COUNTS.items()):
        for encoder, dim in (("e", 5), ("f", 9)):
            facts = make_facts(slide_id, encoder, dim=dim)
            store.commit(facts.key, facts, make_rows(count, dim, seed=number))
    facts = make_facts("TCGA-05-0000-01Z", empty_reason="no tissue")
    store.commit(facts.key, facts, [])
    return path


@pytest.fixture
def tiles(make_rows: MakeRows) -> dict[str, TileRows]:
    return {
        slide_id: join_rows(list(make_rows(count, seed=number)))
        for number, (slide_id, count) in enumerate(COUNTS.items())
    }


def ask(query: str, root: Path, mutations: str = "") -> list[Any]:
    query = query.replace("STORE", str(root)).replace("MUTATIONS", mutations)
    with duckdb.connect() as connection:
        return connection.sql(query).fetchall()


def test_plain_duckdb_finds_the_mean_of_each_slide(root: Path, tiles: dict[str, TileRows]) -> None:
    rows = ask(MEAN_PER_SLIDE, root)
    assert [row[0] for row in rows] == sorted(COUNTS)
    for slide_id, mean in rows:
        np.testing.assert_allclose(
            mean, tiles[slide_id].embeddings.astype(float).mean(0), rtol=1e-5
        )


def test_plain_duckdb_joins_tiles_to_mutations(
    root: Path, tiles: dict[str, TileRows], tmp_path: Path
) -> None:
    table = tmp_path / "mutations.csv"
    table.write_text("patient_id,TP53\nTCGA-05-4244,0\nTCGA-05-4249,1\nTCGA-05-0000,1\n")
    counts = [int((tiles[slide_id].tissue > 0.8).sum()) for slide_id in COUNTS]
    assert ask(TISSUE_BY_MUTATION, root, str(table)) == [(0, counts[0]), (1, counts[1])]


def test_plain_duckdb_joins_tiles_to_the_real_mutation_table(root: Path) -> None:
    data = os.environ.get("HISTO_RAY_TEST_DATA")
    if not data:
        pytest.skip("needs HISTO_RAY_TEST_DATA, the folder of real data")
    table = Path(data) / "tables/tcga_luad_mutations.csv"
    rows = ask(TISSUE_BY_MUTATION, root, str(table))
    assert sum(count for _, count in rows) > 0


def test_plain_duckdb_finds_cosine_neighbours(root: Path, tiles: dict[str, TileRows]) -> None:
    rows = ask(NEIGHBOURS, root)
    everything = np.concatenate([tiles[s].embeddings for s in COUNTS]).astype(np.float64)
    unit = everything / np.linalg.norm(everything, axis=1, keepdims=True)
    best = np.sort(unit @ unit[COUNTS["TCGA-05-4244-01Z"] + 7])[::-1][:5]
    assert rows[0][:2] == ("TCGA-05-4249-01Z", 7)
    np.testing.assert_allclose([row[-1] for row in rows], best, rtol=1e-5)


def test_the_views_are_the_tables(root: Path) -> None:
    store = open_store(str(root))
    query = "select encoder, tiling, slide_id, count(*) from embeddings group by all order by all"
    assert store.sql(query).fetchall() == [
        (encoder, "abc123", slide_id, count)
        for encoder in ("e", "f")
        for slide_id, count in COUNTS.items()
    ]
    joined = store.sql(
        "select s.patient_id, count(*) from embeddings e join slides s using (slide_id, encoder)"
        " group by all order by all"
    )
    assert [count for _, count in joined.fetchall()] == [260, 150]


def test_names_of_digits_stay_text(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts(encoder="2048", tiling="000123456789")
    store.commit(facts.key, facts, make_rows(2))
    rows = store.sql("select distinct encoder, tiling from embeddings").fetchall()
    assert rows == [("2048", "000123456789")]


def test_an_empty_store_has_empty_views(store: Store) -> None:
    for view, columns in (("embeddings", 9), ("slides", 19), ("runs", 10)):
        result = store.sql(f"select * from {view}")
        assert len(result.columns) == columns
        assert result.fetchall() == []
    assert str(store.sql("select embedding from embeddings").types[0]) == "FLOAT[]"


def test_sql_sees_zarr_partitions_beside_parquet_ones(
    root: Path, tiles: dict[str, TileRows], make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    store = open_store(str(root))
    facts = make_facts("Z1")
    store.commit(facts.key, facts, make_rows(3, seed=9), format="zarr")
    counts = "select slide_id, count(*) from embeddings where encoder = 'e' group by 1 order by 1"
    assert store.sql(counts).fetchall() == [*COUNTS.items(), ("Z1", 3)]
    before = store.sql("from embeddings order by encoder, slide_id, tile_id").fetchall()
    store.convert(to="zarr").check()
    assert store.sql("from embeddings order by encoder, slide_id, tile_id").fetchall() == before
    ((found,),) = store.sql(
        "select embedding from embeddings where slide_id = 'Z1' limit 1"
    ).fetchall()
    np.testing.assert_array_equal(found, join_rows(list(make_rows(3, seed=9))).embeddings[0])


def test_a_filter_finds_the_same_tiles_in_either_form(root: Path) -> None:
    store = open_store(str(root))
    queries = [
        f"select {what} from embeddings where {condition} order by all"
        for what in ("encoder, slide_id, tile_id, embedding", "tile_id, slide_id", "count(*)")
        for condition in CONDITIONS
    ]
    found = [store.sql(query).fetchall() for query in queries]
    store.convert(to="zarr").check()
    assert [store.sql(query).fetchall() for query in queries] == found


NEEDS = {
    "select count(*) from embeddings": False,
    "select slide_id, avg(x) from embeddings where tissue > 0.5 group by 1": False,
    "select * exclude (embedding) from embeddings order by all": False,
    "select 'embedding' as text, e.x from embeddings e": False,
    "with a as materialized (select * from embeddings) select count(*) from a": False,
    "select columns('t.*') from embeddings": False,
    "copy (select x from embeddings) to '/nowhere/x.csv'": False,
    "-- embedding\nselect 1 from embeddings": False,
    "from embeddings": True,
    "select e from embeddings e": True,
    "select hash(e) from embeddings e": True,
    "select count(embedding) from embeddings": True,
    "select x from embeddings where embedding is null": True,
    "select x from embeddings order by embedding[1]": True,
    "select count(*) from (select distinct * from embeddings)": True,
    "from embeddings semi join embeddings f using (embedding)": True,
    "summarize embeddings": True,
    "explain from embeddings": True,
    "select x from embeddings; select embedding from embeddings": True,
    "selec x from embeddings": True,
}


@pytest.mark.parametrize("query", NEEDS)
def test_a_plan_tells_whether_a_query_reads_vectors(store: Store, query: str) -> None:
    with duckdb.connect() as connection:
        assert _needs_vectors(connection, store.root, query) == NEEDS[query]


def test_a_scan_opens_only_partitions_that_can_have_rows_and_vectors_only_if_asked(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    for slide_id in ("A", "B"):
        facts = make_facts(slide_id)
        store.commit(facts.key, facts, make_rows(3), format="zarr")
    folder = Path(store.root.path) / "embeddings/encoder=e/tiling=abc123"
    shutil.rmtree(folder / "A.zarr/embedding")
    (folder / "B.zarr/x/zarr.json").unlink()
    assert store.sql("select x from embeddings where slide_id = 'A'").fetchall() != []
    with pytest.raises(duckdb.Error, match=r"B\.zarr/x"):
        store.sql("select x from embeddings").fetchall()
    with pytest.raises(duckdb.Error, match=r"A\.zarr/embedding"):
        store.sql("select embedding from embeddings where slide_id = 'A'").fetchall()


def test_a_store_whose_path_has_wildcards_is_queried(
    tmp_path: Path, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    store = open_store(str(tmp_path / "it's [a] store*"), create=True)
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(4))
    assert store.sql("select count(*) from embeddings").fetchall() == [(4,)]
