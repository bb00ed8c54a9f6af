"""Similar tiles by an index and by a scan of all vectors: recall, milliseconds, bytes, memory.

`python -m benchmarks.similar [--slides N] [--tiles N] [--dim D] [--queries N] [--folder DIR]`: JSON
to stdout. Vectors are made up: 24 hidden numbers around 300 centres, spread over D by a fixed
matrix, with noise, negative ones cut to 0, as features behind a ReLU are. Needs faiss-cpu. The
queries are stored tiles drawn at random; the scan's answers are the truth.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import histo_ray as hr
from benchmarks.__main__ import describe_machine
from histo_ray.api.feature_store import FeatureStore
from histo_ray.store.layout import partition_path
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.partition import Shape, write_receipt
from histo_ray.types import Floats, TileRows
from testing.partitions import facts_of

HIDDEN, CENTRES, NOISE = 24, 300, 0.25
NEAREST = 10


def draw_vectors(count: int, dim: int, seed: int) -> Floats:
    """(count, dim) halves."""
    fixed, random = np.random.default_rng(1), np.random.default_rng(seed)
    centres = fixed.standard_normal((CENTRES, HIDDEN), np.float32)
    spread = fixed.standard_normal((HIDDEN, dim), np.float32) / 5
    hidden = centres[random.integers(0, CENTRES, count)]
    hidden = hidden + 0.6 * random.standard_normal((count, HIDDEN), np.float32)
    noise = NOISE * random.standard_normal((count, dim), np.float32)
    return np.maximum(hidden @ spread + noise, 0).astype(np.float16)


def make_store(folder: Path, slides: int, tiles: int, dim: int) -> FeatureStore:
    """A store of so many partitions; each is written by the store's own writer, not flushed."""
    made = (folder / "store.json").exists()
    store = hr.open_store(str(folder), create=True)
    ones = np.ones(tiles, np.float32)
    coords = np.stack([np.arange(tiles), np.arange(tiles)], 1).astype(np.int32)
    for number in range(0 if made else slides):
        facts = facts_of(f"S{number:05d}", dim=dim)
        path = folder / partition_path(facts.key, "parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = TileRows(coords, ones, ones, draw_vectors(tiles, dim, number + 2))
        shape = Shape(facts.slide.slide_id, dim, "float16")
        ParquetFormat().write(path, shape, [rows], partial(write_receipt, facts))
    return store


def ask(store: Any, queries: list[tuple[str, int]], exact: bool) -> tuple[list[Any], list[float]]:
    """The nearest of each query, and milliseconds of each."""
    found, spent = [], []
    for query in queries:
        start = time.perf_counter()
        frame = store.similar(query, k=NEAREST, exact=exact)
        spent.append(1000 * (time.perf_counter() - start))
        found.append(set(zip(frame["slide_id"], frame["tile_id"], strict=True)))
    return found, spent


def tell(spent: list[float]) -> dict[str, float]:
    """Median and the slowest tenth."""
    return {
        "median_ms": round(float(np.median(spent)), 2),
        "p90_ms": round(float(np.percentile(spent, 90)), 2),
    }


def measure(store: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Build the index, ask by it and by a scan."""
    cpu = time.process_time()
    built = store.build_index(notify=lambda text: print(text, file=sys.stderr))
    build_cpu_s = time.process_time() - cpu
    random = np.random.default_rng(0)
    slides, tiles = (random.integers(0, n, args.queries) for n in (args.slides, args.tiles))
    queries = [(f"S{s:05d}", t) for s, t in zip(slides.tolist(), tiles.tolist(), strict=True)]
    ask(store, queries[:2], exact=False)
    cpu = time.process_time()
    mine, indexed = ask(store, queries, exact=False)
    query_cpu_ms = 1000 * (time.process_time() - cpu) / len(queries)
    scanned = queries[: args.scanned]
    truth, exact = ask(store, scanned, exact=True)
    hits = [len(a & b) / NEAREST for a, b in zip(mine, truth, strict=False)]
    return {
        "built": built._asdict() | {"quality": built.quality._asdict()},
        "build_cpu_s": round(build_cpu_s, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "recall_at_10": round(float(np.mean(hits)), 4),
        "index": tell(indexed) | {"cpu_ms": round(query_cpu_ms, 2)},
        "exact_scan": tell(exact),
    }


def main() -> None:
    """Make the store, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.similar", description=__doc__)
    parser.add_argument("--slides", type=int, default=1000)
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=1536)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--scanned", type=int, default=20, help="queries that are scanned, too")
    parser.add_argument("--folder", type=Path, help="keep the store here (default: a scratch)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="histo-ray-bench-") as scratch:
        folder = (args.folder or Path(scratch)) / "store"
        result = measure(make_store(folder, args.slides, args.tiles, args.dim), args)
    sizes = {name: getattr(args, name) for name in ("slides", "tiles", "dim", "queries", "scanned")}
    print(json.dumps({"machine": describe_machine(), **sizes, **result}, indent=1))


if __name__ == "__main__":
    main()
