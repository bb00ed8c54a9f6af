"""What a run has to do but encode, by processes that do nothing else, without Ray.

`python -m benchmarks.bare_readers MANIFEST` prints JSON. Each of several processes
(`--part 0/2 --at TIME`) takes every second slide: it opens it, finds its tissue, reads all its
tiles in blocks of a run's batch and measures their focus. Nothing is encoded, moved or written.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from threadpoolctl import threadpool_limits

from benchmarks.read_cost import START_S
from histo_ray.config import ExtractConfig
from histo_ray.extract.tile_reader import SlideTileReader
from histo_ray.slides.manifest import read_manifest

BATCH_A_PROCESS = 16
"""Tiles of a block, times the processes: as a run on as many cores has them."""


def read_bare(manifest: Path, count: int) -> dict[str, float]:
    """Tiles/s, and CPU seconds for 1,000 tiles, of `count` processes that read a whole manifest."""
    command = [sys.executable, "-m", "benchmarks.bare_readers", str(manifest)]
    command += ["--at", str(time.time() + START_S)]
    started = [
        subprocess.Popen([*command, "--part", f"{part}/{count}"], stdout=subprocess.PIPE, text=True)
        for part in range(count)
    ]
    results: list[dict[str, Any]] = [json.loads(process.communicate()[0]) for process in started]
    tiles = sum(result["tiles"] for result in results)
    seconds = max(result["seconds"] for result in results)
    cpu_s = sum(result["cpu_s"] for result in results)
    return {"tiles_per_s": tiles / seconds, "cpu_ms_a_tile": 1000 * cpu_s / tiles}


def main() -> None:
    """Plan and read one part of a manifest's slides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--at", type=float, default=0.0, help="time.time() to begin at")
    args = parser.parse_args()
    part, parts = map(int, args.part.split("/"))
    pa.set_cpu_count(1)
    threadpool_limits(1)
    slides = read_manifest(args.manifest)[part::parts]
    config = ExtractConfig(manifest=args.manifest, store="none", encoder=("none",))
    reader = SlideTileReader(config)
    size, tiles = BATCH_A_PROCESS * parts, 0
    reader.plan(slides[0])  # modules that the first slide brings
    reader.close()
    time.sleep(max(0.0, args.at - time.time()))
    cpu, began = time.process_time(), time.perf_counter()
    for slide in slides:
        plan = reader.plan(slide)
        for start in range(0, len(plan.grid), size):
            reader.read(slide, plan, range(start, min(start + size, len(plan.grid))))
        tiles += len(plan.grid)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    reader.close()
    print(json.dumps({"tiles": tiles, "seconds": seconds, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
