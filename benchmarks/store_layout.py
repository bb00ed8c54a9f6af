"""Parquet layouts of embeddings, side by side: write, size, bag, mean of each slide, predicate.

`python -m benchmarks.store_layout [--slides N] [--folder DIR] [LAYOUT ...]`: 3,000 tiles x 2,048
float16 a slide, made up like the output of a pooled ReLU; JSON to stdout, a table to stderr. Files
are in the page cache when they are read. `present` is what the library writes.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.__main__ import describe_machine
from benchmarks.bench_store import make_facts, make_rows
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store import parquet, partition
from histo_ray.store.store import Store, open_store
from histo_ray.types import Floats

TILES, DIM = 3_000, 2_048
VECTORS = "embedding.list.element"


class Layout(NamedTuple):
    """How vectors are written."""

    compression: str = "NONE"
    page: int = 1 << 30
    """Most bytes of a data page."""
    group: int = partition.BLOCK_BYTES
    """Bytes of vectors in a row group."""


LAYOUTS = {
    "present": Layout(),
    "groups of 1 MiB": Layout(group=1 << 20),
    "groups of 16 MiB": Layout(group=16 << 20),
    "pages of 1 MiB": Layout(page=1 << 20),
    "lz4": Layout("LZ4"),
    "zstd": Layout("ZSTD"),
}
QUERIES = {
    "mean of each slide, unnest": """
        select slide_id, list(mean order by i) from (
          select slide_id, i, avg(value) as mean from (
            select slide_id, unnest(embedding) as value, generate_subscripts(embedding, 1) as i
            from {files}) group by slide_id, i) group by slide_id""",
    "tiles of each slide, tissue > 0.8": """
        select slide_id, count(*) from {files} where tissue > 0.8 group by slide_id""",
    "vectors where tissue > 0.99": """
        select sum(embedding[1]) from {files} where tissue > 0.99""",
}


def make_vectors(seed: int) -> Floats:
    """(TILES, DIM) float16, not negative, each column of a scale of its own."""
    random = np.random.default_rng(seed)
    scales = np.random.default_rng(0).gamma(1.0, 0.3, DIM).astype(np.float32)
    normal = random.standard_normal((TILES, DIM), np.float32)
    vectors: Floats = (np.maximum(normal * 0.5 + 0.6, 0) * scales).astype(np.float16)
    return vectors


def write_slides(store: Store, layout: Layout, slides: int) -> float:
    """Write some slides; seconds of writing alone."""
    options = parquet._writer_options

    def changed(schema: Any) -> dict[str, Any]:
        result: dict[str, Any] = dict(options(schema))
        result["compression"] = {**result["compression"], VECTORS: layout.compression}
        result["data_page_size"] = layout.page
        return result

    seconds = 0.0
    random = np.random.default_rng(1)
    with (
        patch.object(parquet, "_writer_options", changed),
        patch.object(partition, "BLOCK_BYTES", layout.group),
    ):
        for number in range(slides):
            vectors = make_vectors(number)
            facts = make_facts("layout")
            slide = facts.slide.model_copy(update={"slide_id": f"S{number:03d}"})
            encoder = facts.encoder.model_copy(update={"dim": DIM})
            facts = replace(facts, slide=slide, encoder=encoder)
            tissue = random.random(TILES, np.float32)
            coords = random.integers(0, 60_000, (TILES, 2)).astype(np.int32)
            rows = [
                replace(block, tissue=tissue[start : start + len(block)])
                for start, block in zip(
                    range(0, TILES, 512), make_rows(vectors, coords), strict=True
                )
            ]
            began = time.perf_counter()
            store.commit(facts.key, facts, rows)
            seconds += time.perf_counter() - began
    return seconds


def take_time(work: Callable[[], Any]) -> dict[str, float]:
    """Wall and CPU seconds of one call."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
    }


def fetch(ask: Callable[[str], Any], query: str) -> None:
    """Run a query and fetch its whole result."""
    ask(query).fetchall()


def measure_layout(folder: Path, layout: Layout, slides: int) -> dict[str, Any]:
    """Everything of one layout; its files stay in `folder`."""
    import duckdb

    store = open_store(str(folder), create=True)
    cpu = time.process_time()
    seconds = write_slides(store, layout, slides)
    files = sorted(folder.glob("embeddings/*/*/*.parquet"))
    size = sum(path.stat().st_size for path in files)
    raw = slides * TILES * DIM * 2 / 1e6
    bags = [take_time(partial(store.bag, path.stem, "layout")) for path in files[:10]]
    result: dict[str, Any] = {
        "write_mb_per_s": round(raw / seconds, 1),
        "write_and_make_cpu_s": round(time.process_time() - cpu, 1),
        "mb": round(size / 1e6, 1),
        "bag_ms": round(1000 * float(np.median([bag["seconds"] for bag in bags])), 1),
        "bag_cpu_ms": round(1000 * float(np.median([bag["cpu_seconds"] for bag in bags])), 1),
    }
    pattern = f"read_parquet('{folder}/embeddings/*/*/*.parquet', hive_partitioning = true)"
    for name, query in QUERIES.items():
        text = query.format(files=pattern)
        result[name] = take_time(partial(fetch, duckdb.connect().sql, text))
        text = query.format(files="embeddings")
        result[f"{name} (store.sql)"] = take_time(partial(fetch, store.sql, text))
    result["store.matrix"] = take_time(lambda: pool_matrix(store, "layout", pool="mean"))
    result["store.matrix again"] = take_time(lambda: pool_matrix(store, "layout", pool="mean"))
    return result


def measure_layouts(folder: Path, names: Sequence[str], slides: int) -> dict[str, Any]:
    """Each layout in turn; the files of one are gone before the next is written."""
    results = {}
    for name in names:
        place = folder / "layout"
        results[name] = measure_layout(place, LAYOUTS[name], slides)
        shutil.rmtree(place)
        print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
    return results


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_layout", description=__doc__)
    parser.add_argument("layouts", nargs="*", metavar="LAYOUT", help=f"of {', '.join(LAYOUTS)}")
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the files are put meanwhile")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="histo-ray-bench-", dir=args.folder) as scratch:
        names = args.layouts or list(LAYOUTS)
        results = measure_layouts(Path(scratch), names, args.slides)
    json.dump(
        {"machine": describe_machine(), "slides": args.slides, **results}, sys.stdout, indent=1
    )
    print()


if __name__ == "__main__":
    main()
