"""What a failing object store costs: `python -m benchmarks.object_faults` prints JSON.

The same slides from `s3://` to `s3://` through a proxy that (1) only passes on, (2) responds late,
(3) responds late, with errors, or never. All three stores must hold the same vectors.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.__main__ import describe_machine
from benchmarks.bench import synthetic_slide
from histo_ray.store.store import open_store
from testing.object_server import FaultyServer, aws_environment, serve_faults, serve_s3

ENCODER = "random:resnet10t?seed=0&px=64"
"""Tiny, so that waiting for storage shows as much as it can."""


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all three; seconds, requests and faults of each.

    Raises:
        SystemExit: A run is not complete, or its store is another.
    """
    late = {"latency_s": args.latency_s}
    errors = {"server_error": args.errors / 2, "lost_answer": args.errors / 2}
    ways: dict[str, dict[str, float]] = {
        "as it is": {},
        "late": late,
        "late, errors, silence": late | errors | {"hold": args.silence},
    }
    with serve_s3("slides", "stores") as upstream, serve_faults(upstream) as server:
        os.environ.update(aws_environment(server.endpoint))
        manifest = upload_slides(args, folder)
        result: dict[str, Any] = {"settings": vars(args), "runs": {}}
        vectors: dict[str, dict[str, bytes]] = {}
        for at, (name, faults) in enumerate(ways.items()):
            store = f"s3://stores/{at}"
            result["runs"][name] = run(server, faults, manifest, store, args)
            vectors[name] = read_store(store, args.slides)
            if vectors[name] != vectors["as it is"]:
                raise SystemExit(f"object_faults: {name!r}: other vectors than without faults")
        plain, slow, worst = (result["runs"][name]["run_s"] for name in ways)
        result["times slower: late"] = slow / plain
        result["times slower: late, errors, silence"] = worst / plain
        result["faults alone, times slower"] = worst / slow
        return result


def upload_slides(args: argparse.Namespace, folder: Path) -> str:
    """Synthetic slides and their manifest in a bucket."""
    from histo_ray.storage import locate

    def put(name: str, data: bytes) -> None:
        system, path = locate(f"s3://slides/{name}")
        with system.open_output_stream(path) as stream:
            stream.write(data)

    lines = ["slide_id,path"]
    slide = synthetic_slide(folder / "slide.svs", args.side)
    data = slide.read_bytes()
    for at in range(args.slides):
        put(f"S{at}.svs", data)
        lines.append(f"S{at},S{at}.svs")
    put("slides.csv", "\n".join(lines).encode())
    return "s3://slides/slides.csv"


def run(
    server: FaultyServer,
    faults: dict[str, float],
    manifest: str,
    store: str,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """One extraction in a process of its own, and in its own Ray."""
    settings = {
        "manifest": manifest,
        "store": store,
        "encoder": [ENCODER],
        "tile_px": args.tile_px,
        "readers": args.readers,
        "device": "cpu",
    }
    server.set_faults(**faults)
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([settings], file)
        file.flush()
        command = [sys.executable, "-m", "benchmarks.one_run", file.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    counts = server.counts()
    server.set_faults()
    if done.returncode:
        raise SystemExit(f"object_faults: {faults} ended with {done.returncode} instead of 0")
    measured: dict[str, Any] = json.loads(done.stdout)[0]
    return measured | {"process_s": time.monotonic() - began, "met": counts}


def read_store(uri: str, slides: int) -> dict[str, bytes]:
    """All vectors of a store, which must be whole."""
    store = open_store(uri)
    count, problems = store.verify()
    if count != slides or problems:
        raise SystemExit(f"object_faults: {uri}: {count} partitions, problems {problems}")
    return {
        key.slide_id: store.bag(key.slide_id, key.encoder, key.tiling).embeddings.tobytes()
        for key in store.list_keys()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=8)
    parser.add_argument("--side", type=int, default=6_000, help="width of the slides, px")
    parser.add_argument("--tile-px", type=int, default=224)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--errors", type=float, default=0.05, help="share of 500s")
    parser.add_argument("--silence", type=float, default=0.02, help="share without a response")
    parser.add_argument("--latency-s", type=float, default=0.2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="histo-ray-bench-") as folder:
        result = measure(args, Path(folder))
    print(json.dumps({"machine": describe_machine(), **result}, indent=1))


if __name__ == "__main__":
    main()
