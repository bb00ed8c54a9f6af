"""CPU seconds that reading costs a tile, alone on the machine, in a process of its own.

`python -m benchmarks.read_cost MANIFEST TILES` prints JSON.
"""

import json
import sys
import time

from histo_ray.config import TilingConfig
from histo_ray.extract import open_manifest_slide, plan_slide, read_block
from histo_ray.slides.manifest import read_manifest


def main() -> None:
    """Plan the first slide and read some of its tiles."""
    slide, wanted = read_manifest(sys.argv[1])[0], int(sys.argv[2])
    tiling = TilingConfig()
    with open_manifest_slide(slide, None) as opened:
        plan = plan_slide(opened, slide, tiling)
        tiles = min(wanted, len(plan.grid))
        cpu, began = time.process_time(), time.perf_counter()
        for start in range(0, tiles, 32):
            span = range(start, min(tiles, start + 32))
            read_block(opened, plan, tiling.tile_px, span)
        print(
            json.dumps(
                {
                    "cpu_s_per_tile": (time.process_time() - cpu) / tiles,
                    "tiles_per_s": tiles / (time.perf_counter() - began),
                    "tiles": tiles,
                }
            )
        )


if __name__ == "__main__":
    main()
