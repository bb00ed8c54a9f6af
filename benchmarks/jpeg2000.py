"""Aperio's JPEG 2000 by OpenSlide and by imagecodecs' OpenJPEG: is it worth a direct reader?

`python -m benchmarks.jpeg2000 SLIDE.svs [--rows 8] [--rounds 5]`. Rows of tiles in the middle of
level 0: CPU and wall seconds of OpenSlide over regions of 224 px of that area, and of decoding
each tile of the file once, without putting regions together; and how many bytes differ. JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import openslide
import tifffile

Pixels = npt.NDArray[np.uint8]
EDGE = 224


def main() -> None:
    """Measure in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--rows", type=int, default=8, help="rows of tiles of the file")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tifffile.TiffFile(args.slide) as tiff:
        page = tiff.pages.first
        tile = page.tilewidth, page.tilelength
        columns = -(-page.imagewidth // tile[0])
        middle = page.imagelength // tile[1] // 2 - args.rows // 2
        numbers = range(middle * columns, (middle + args.rows) * columns)
        codes = []
        for number in numbers:
            tiff.filehandle.seek(page.dataoffsets[number])
            codes.append(tiff.filehandle.read(page.databytecounts[number]))
        about = {"compression": int(page.compression), "tile": tile, "tiles": len(codes)}
        size = page.imagewidth // EDGE * EDGE, args.rows * tile[1] // EDGE * EDGE
    top = middle * tile[1]
    regions = [(x, top + y) for y in range(0, size[1], EDGE) for x in range(0, size[0], EDGE)]
    ways: dict[str, Callable[[], object]] = {
        "OpenSlide, regions of 224 px": lambda: read_regions(args.slide, regions),
        "imagecodecs, tiles once": lambda: [imagecodecs.jpeg2k_decode(c) for c in codes],
        "imagecodecs, tiles once, 2 threads": lambda: [
            imagecodecs.jpeg2k_decode(c, numthreads=2) for c in codes
        ],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            way()
            found[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    share = len(regions) * EDGE**2 / (len(codes) * tile[0] * tile[1])
    answer: dict[str, Any] = {**about, "regions": len(regions), "area of regions": round(share, 3)}
    for name, rounds in found.items():
        answer[name] = {
            "CPU s": round(statistics.median(cpu for cpu, _ in rounds), 3),
            "wall s": round(statistics.median(wall for _, wall in rounds), 3),
        }
    plain, direct = (found[name] for name in list(ways)[:2])
    answer["CPU ratio"] = round(
        statistics.median(a[0] / b[0] for a, b in zip(plain, direct, strict=True)), 2
    )
    answer |= compare(args.slide, codes, numbers, tile, columns)
    print(json.dumps(answer, indent=1))


def read_regions(slide: Path, regions: list[tuple[int, int]]) -> None:
    """Read regions of level 0 as most programs do."""
    with openslide.OpenSlide(slide) as opened:
        for corner in regions:
            np.asarray(opened.read_region(corner, 0, (EDGE, EDGE)).convert("RGB"))


def compare(
    slide: Path, codes: list[bytes], numbers: range, tile: tuple[int, int], columns: int
) -> dict[str, int]:
    """Bytes of RGB tiles that differ from OpenSlide's, and the largest difference."""
    differ = largest = 0
    with openslide.OpenSlide(slide) as opened:
        width, height = opened.dimensions
        for code, number in zip(codes, numbers, strict=True):
            x, y = number % columns * tile[0], number // columns * tile[1]
            w, h = min(tile[0], width - x), min(tile[1], height - y)
            theirs = np.asarray(opened.read_region((x, y), 0, (w, h)).convert("RGB"), np.int16)
            ours = np.asarray(imagecodecs.jpeg2k_decode(code), np.int16)[:h, :w]
            gap = np.abs(ours - theirs)
            differ += int((gap > 0).sum())
            largest = max(largest, int(gap.max()))
    return {"differing bytes": differ, "largest difference": largest}


if __name__ == "__main__":
    main()
