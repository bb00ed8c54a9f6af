"""How many requests an object store gets: `python -m benchmarks.object_requests [--partitions N]`.

A local S3-speaking server counts; JSON to stdout. What is counted: one partition written, a listing
and all receipts without and with the catalogue, one bag.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_store import DIM, make_facts, make_rows
from histo_ray.store import receipt_cache
from histo_ray.store.store import Store, open_store

REQUEST = re.compile(r'"(?:\x1b\[[0-9;]*m)*(GET|HEAD|PUT|POST|DELETE) /')
"""In the server's log, which colours some lines."""


@contextmanager
def count_requests(log: Path) -> Iterator[Callable[[], dict[str, int]]]:
    """Run a server; yields what counts requests by method since the last time it was asked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("w") as lines, subprocess.Popen(command, stdout=lines, stderr=lines) as server:
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            seen = 0

            def ask() -> dict[str, int]:
                nonlocal seen
                text = log.read_text(errors="replace").splitlines()
                fresh, seen = text[seen:], len(text)
                return dict(Counter(m for line in fresh for m in REQUEST.findall(line)))

            yield ask
        finally:
            server.terminate()


def commit(store: Store, name: str, tiles: int) -> None:
    """Write one partition."""
    facts = make_facts("counted")
    facts = replace(facts, slide=facts.slide.model_copy(update={"slide_id": name}))
    vectors, coords = np.zeros((tiles, DIM), np.float16), np.zeros((tiles, 2), np.int32)
    store.commit(facts.key, facts, make_rows(vectors, coords))


def measure_requests(folder: Path, partitions: int, tiles: int) -> dict[str, Any]:
    """Requests of each operation."""
    from pyarrow import fs

    with count_requests(folder / "log") as ask:
        endpoint = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
        system = fs.S3FileSystem(
            scheme="http", endpoint_override=endpoint, allow_bucket_creation=True
        )
        system.create_dir("bucket")
        store = open_store("s3://bucket/store", create=True)
        answer: dict[str, Any] = {"making a store": ask()}
        commit(store, "S0000", tiles)
        answer[f"one partition of {tiles} tiles"] = ask()
        for number in range(1, partitions):
            commit(store, f"S{number:04d}", 4)
        answer[f"{partitions - 1} small partitions"] = ask()
        receipt_cache.SETTLED_NS = -(10**11)  # they are new
        store.slides()
        answer["store.slides() without a catalogue, which it writes"] = ask()
        store.slides()
        answer["store.slides() with it"] = ask()
        store.bag("S0000", "counted")
        answer["one bag"] = ask()
        return answer


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.object_requests", description=__doc__
    )
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--tiles", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="histo-ray-bench-") as folder:
        answer = measure_requests(Path(folder), args.partitions, args.tiles)
    json.dump(answer, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
