"""How many requests an object store gets: `python -m benchmarks.object_requests [--partitions N]`.

A proxy before a local S3-speaking server counts; JSON to stdout. What is counted: one partition
written, a listing and all receipts without and with the catalogue, one bag.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.bench_store import DIM, make_facts, make_rows
from histo_ray.store import receipt_cache
from histo_ray.store.store import Store, open_store
from testing.object_server import aws_environment, serve_faults, serve_s3


def commit(store: Store, name: str, tiles: int) -> None:
    """Write one partition."""
    facts = make_facts("counted")
    facts = replace(facts, slide=facts.slide.model_copy(update={"slide_id": name}))
    vectors, coords = np.zeros((tiles, DIM), np.float16), np.zeros((tiles, 2), np.int32)
    store.commit(facts.key, facts, make_rows(vectors, coords))


def measure_requests(partitions: int, tiles: int) -> dict[str, Any]:
    """Requests of each operation, in all and by method."""
    result: dict[str, Any] = {}
    with serve_s3("bucket") as upstream, serve_faults(upstream) as server:
        os.environ.update(aws_environment(server.endpoint))

        def note(what: str) -> None:
            result[what] = server.counts()
            server.set_faults()  # counts anew

        store = open_store("s3://bucket/store", create=True)
        note("making a store")
        commit(store, "S0000", tiles)
        note(f"one partition of {tiles} tiles")
        for number in range(1, partitions):
            commit(store, f"S{number:04d}", 4)
        note(f"{partitions - 1} small partitions")
        receipt_cache.SETTLED_NS = -(10**11)  # they are new
        store.slides()
        note("store.slides() without a catalogue, which it writes")
        store.slides()
        note("store.slides() with it")
        store.bag("S0000", "counted")
        note("one bag")
    return result


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.object_requests", description=__doc__
    )
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--tiles", type=int, default=10_000)
    args = parser.parse_args()
    json.dump(measure_requests(args.partitions, args.tiles), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
