"""What SQL over Zarr partitions costs by each way that DuckDB can be given them.

`python -m benchmarks.sql_zarr [--slides N] [--tiles N] [--dim D]`: JSON to stdout. One store, as
Zarr and converted to Parquet; the same three queries by each way, best of three, in one process.
`scan` is what `store sql` does; `table` reads all partitions into one Arrow table before; `reader`
gives DuckDB a stream of all columns, once a query; `parquet` is what a derived copy would give.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.__main__ import describe_machine
from histo_ray.store.catalog import list_partitions
from histo_ray.store.sql.partition_scan import PartitionScan
from histo_ray.store.sql.views import embeddings_schema, select_partitions
from histo_ray.store.store import Store, open_store
from histo_ray.types import TileRows
from testing.partitions import facts_of

QUERIES = {
    "count": "select count(*) from e",
    "mean tissue by slide": "select slide_id, avg(tissue) from e group by 1",
    "vectors of one slide": "select embedding from e where slide_id = 'S3'",
    "first number of all vectors": "select sum(embedding[1]) from e",
}


def make_store(folder: Path, slides: int, tiles: int, dim: int) -> tuple[Store, Store]:
    """The same tiles as Zarr and as Parquet."""
    store = open_store(str(folder / "zarr"), create=True)
    random = np.random.default_rng(0)
    for number in range(slides):
        facts = facts_of(f"S{number}", dim=dim)
        vectors = random.standard_normal((tiles, dim), np.float32).astype(np.float16)
        ones = np.ones(tiles, np.float32)
        rows = TileRows(random.integers(0, 9999, (tiles, 2)).astype(np.int32), ones, ones, vectors)
        store.commit(facts.key, facts, [rows], format="zarr")
    copy = open_store(str(folder / "parquet"), create=True)
    store.convert("parquet", copy).check()
    return store, copy


def measure(give: Callable[[Any], None]) -> dict[str, float]:
    """Seconds of each query, the giving included."""
    best = dict.fromkeys(QUERIES, float("inf"))
    for name, query in QUERIES.items():
        for _ in range(3):
            with duckdb.connect() as connection:
                start = time.perf_counter()
                give(connection)
                connection.execute(query).fetchall()
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: round(seconds, 4) for name, seconds in best.items()}


def main() -> None:
    """Make the stores, measure each way, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sql_zarr", description=__doc__)
    parser.add_argument("--slides", type=int, default=100)
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=512)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="histo-ray-bench-") as scratch:
        store, copy = make_store(Path(scratch), args.slides, args.tiles, args.dim)
        schema = embeddings_schema()

        def scan() -> PartitionScan:
            return PartitionScan(store.root, list_partitions(store.root), schema)

        ways: dict[str, Callable[[Any], None]] = {
            "scan": lambda connection: connection.register("e", scan()),
            "table": lambda connection: connection.register("e", scan().scanner().to_table()),
            "reader": lambda connection: connection.register("e", scan().scanner().to_reader()),
            "parquet": lambda connection: connection.execute(
                f"create view e as {select_partitions(copy.root.path, labelled=False)}"
            ),
        }
        found = {name: measure(give) for name, give in ways.items()}
    print(json.dumps({"machine": describe_machine(), **vars(args), "seconds": found}, indent=1))


if __name__ == "__main__":
    main()
