"""Reads all tiles of a slide by one reader, in a process of its own.

`python -m benchmarks.read_tiles plain|direct|openslide|tifffile|pyvips|compare SLIDE` prints JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import tifffile
import zarr
from PIL import Image

from histo_ray.config import TilingConfig
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import open_slide
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.pixels import locate_tissue, read_batch
from histo_ray.types import LevelRead, TileGrid

BATCH = 32
TILING = TilingConfig()


def main() -> None:
    """Plan without the reader that is measured, warm up on one batch, read."""
    reader, path = sys.argv[1], sys.argv[2]
    with open_slide(path, reader="openslide") as slide:
        mask, _, _ = locate_tissue(slide, TILING)
        grid = plan_tiles(slide.pyramid, mask, TILING)
        level_read = choose_level(slide.pyramid, TILING.mpp, TILING.tile_px)
    if reader == "compare":
        print(json.dumps({"differing_bytes": _differing(path, grid, level_read)}))
        return
    read: Callable[[TileGrid], None]
    if reader in PLAINLY:
        read = partial(PLAINLY[reader], path, level_read)
    else:
        read = partial(_read_by, reader, path, level_read)
    read(replace(grid, coords=grid.coords[:BATCH], tissue=grid.tissue[:BATCH]))
    cpu, began = time.process_time(), time.perf_counter()
    read(grid)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - began
    print(
        json.dumps(
            {
                "tiles": len(grid),
                "tiles_per_cpu_s": len(grid) / cpu_s,
                "tiles_per_s": len(grid) / wall_s,
                "ratio_of_sides": level_read.extent[0] / TILING.tile_px,
                "peak_mib": _peak_mib(),
            }
        )
    )


def _read_by(reader: str, path: str, level_read: LevelRead, grid: TileGrid) -> None:
    with open_slide(path, reader=reader) as slide:
        for start in range(0, len(grid), BATCH):
            read_batch(slide, grid, level_read, TILING.tile_px, start, start + BATCH)


def _read_plainly(path: str, level_read: LevelRead, grid: TileGrid) -> None:
    """As most programs do, with the cheapest filter that is right for halving."""
    with openslide.OpenSlide(path) as slide:
        for x, y in grid.coords.tolist():
            region = slide.read_region((x, y), level_read.level, level_read.read_size)
            _shrink(region.convert("RGB"))


def _read_by_tifffile(path: str, level_read: LevelRead, grid: TileGrid) -> None:
    """Regions of its Zarr view, which decodes all tiles that a region touches."""
    width, height = level_read.read_size
    with tifffile.imread(path, aszarr=True, series=0, level=level_read.level) as view:
        pixels: Any = zarr.open(view, mode="r")
        for x, y in (grid.coords / level_read.downsample).round().astype(int).tolist():
            _shrink(Image.fromarray(pixels[y : y + height, x : x + width]))


def _read_by_pyvips(path: str, level_read: LevelRead, grid: TileGrid) -> None:
    """Regions that it fetches from its TIFF loader, through its own cache of tiles."""
    import pyvips

    if level_read.level:
        raise SystemExit("benchmark: pyvips was taught level 0 only")
    region = pyvips.Region.new(pyvips.Image.tiffload(path))
    for x, y in grid.coords.tolist():
        pixels = region.fetch(x, y, *level_read.read_size)
        _shrink(Image.frombytes("RGB", level_read.read_size, bytes(pixels)))


def _shrink(image: Image.Image) -> None:
    edge = (TILING.tile_px, TILING.tile_px)
    np.asarray(image if image.size == edge else image.resize(edge, Image.Resampling.BOX))


PLAINLY = {"plain": _read_plainly, "tifffile": _read_by_tifffile, "pyvips": _read_by_pyvips}


def _differing(path: str, grid: TileGrid, level_read: LevelRead) -> int:
    """Bytes, over the regions of all tiles as read."""
    found = 0
    with open_slide(path, reader="direct") as ours, open_slide(path, reader="openslide") as theirs:
        for x, y in grid.coords.tolist():
            region = (x, y), level_read.level, level_read.read_size
            found += int((ours.read(*region) != theirs.read(*region)).sum())
    return found


def _peak_mib() -> float:
    """Most memory that this process held; unlike ru_maxrss it leaves out the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
