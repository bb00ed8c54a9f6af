"""CPU seconds that reading costs a tile, in a process of its own and without Ray.

`python -m benchmarks.read_cost MANIFEST TILES` prints JSON. Several at once, each with a share of
the tiles (`--part 0/2 --at TIME`), say what the machine gives to that many at best.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from histo_ray.config import TilingConfig
from histo_ray.extract.slide import open_manifest_slide, plan_slide, read_block
from histo_ray.slides.manifest import read_manifest

START_S = 6.0
"""Processes that measure together are imported and have their plan after this long."""


def read_together(manifest: Path, tiles: int, reader: str, count: int) -> float:
    """Tiles/s of `count` processes that read the first slide at the same time, a stretch each."""
    command = [sys.executable, "-m", "benchmarks.read_cost", str(manifest), str(tiles)]
    command += ["--reader", reader, "--at", str(time.time() + START_S)]
    started = [
        subprocess.Popen([*command, "--part", f"{part}/{count}"], stdout=subprocess.PIPE, text=True)
        for part in range(count)
    ]
    results: list[dict[str, Any]] = [json.loads(process.communicate()[0]) for process in started]
    slowest = max(result["tiles"] / result["tiles_per_s"] for result in results)
    return float(sum(result["tiles"] for result in results) / slowest)


def main() -> None:
    """Plan the first slide and read some of its tiles."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest")
    parser.add_argument("tiles", type=int)
    parser.add_argument("--reader", default="auto")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--at", type=float, default=0.0, help="time.time() to begin at")
    args = parser.parse_args()
    part, parts = map(int, args.part.split("/"))
    slide, tiling = read_manifest(args.manifest)[0], TilingConfig()
    with open_manifest_slide(slide, None, args.reader) as opened:
        plan = plan_slide(opened, slide, tiling)
        tiles = min(args.tiles, len(plan.grid))
        stretch = range(tiles * part // parts, tiles * (part + 1) // parts)
        time.sleep(max(0.0, args.at - time.time()))
        cpu, began = time.process_time(), time.perf_counter()
        for start in range(0, len(stretch), 32):
            read_block(opened, plan, tiling.tile_px, stretch[start : start + 32])
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    result = {
        "cpu_s_per_tile": cpu_s / len(stretch),
        "tiles_per_s": len(stretch) / seconds,
        "tiles": len(stretch),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
