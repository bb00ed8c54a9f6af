"""Tiles compressed on their way between machines: `python -m benchmarks.tile_bytes SLIDE...`.

Bytes and CPU time of tiles of 224 px at 0.5 mpp that hold tissue, on one core: as they are, as JPEG
of several qualities, and without loss; JSON to stdout. With `--tiles FOLDER` the tiles are image
files instead. Times are of the process's CPU, medians of three rounds over the same tiles.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

import histo_ray as hr
from benchmarks.__main__ import describe_machine
from histo_ray.slides.direct.traffic import FETCHED

Tile = npt.NDArray[np.uint8]
MPP, TILE_PX, MOST, ROUNDS = 0.5, 224, 400, 3
CARD_RATE = 3_000
"""Tiles/s of a card."""


def read_slides(slides: list[Path]) -> Iterator[Tile]:
    """Tiles with tissue, in OpenCV's order of channels."""
    for path in slides:
        with hr.open_slide(str(path)) as slide:
            for batch in hr.read_tiles(slide, mpp=MPP, tile_px=TILE_PX):
                yield from batch.pixels[..., ::-1]


def read_files(folder: Path) -> Iterator[Tile]:
    """Tiles of a folder, drawn with a fixed seed."""
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".png", ".tif"}
    )
    for path in random.Random(0).sample(files, min(MOST, len(files))):
        yield np.asarray(cv2.imread(str(path)), np.uint8)


def codecs() -> dict[str, tuple[Callable[[Tile], Any], Callable[[Any, Tile], Any]]]:
    """To bytes, and back into pixels of the same shape."""

    def jpeg(quality: int) -> tuple[Callable[[Tile], Any], Callable[[Any, Tile], Any]]:
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
        return (
            lambda tile: cv2.imencode(".jpg", tile, flags)[1],
            lambda data, tile: cv2.imdecode(data, cv2.IMREAD_COLOR),
        )

    def arrow(name: str) -> tuple[Callable[[Tile], Any], Callable[[Any, Tile], Any]]:
        codec = pa.Codec(name)
        return (
            lambda tile: codec.compress(tile.tobytes()),
            lambda data, tile: codec.decompress(data, tile.nbytes),
        )

    png = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return {
        "jpeg 80": jpeg(80), "jpeg 90": jpeg(90), "jpeg 95": jpeg(95),
        "png": (
            lambda tile: cv2.imencode(".png", tile, png)[1],
            lambda data, tile: cv2.imdecode(data, cv2.IMREAD_COLOR),
        ),
        "zstd": arrow("zstd"), "lz4": arrow("lz4"),
    }  # fmt: skip


def measure(tiles: list[Tile]) -> dict[str, Any]:
    """Bytes and CPU milliseconds a tile of each codec, and what a card would need of them."""
    found: dict[str, Any] = {"raw": {"kb": round(tiles[0].nbytes / 1e3, 1)}}
    for name, (pack, unpack) in codecs().items():
        packing, unpacking, off = [], [], 0.0
        for _ in range(ROUNDS):
            began = time.process_time()
            packed = [pack(tile) for tile in tiles]
            middle = time.process_time()
            back = [unpack(data, tile) for data, tile in zip(packed, tiles, strict=True)]
            packing.append(middle - began)
            unpacking.append(time.process_time() - middle)
        sizes = [len(data) for data in packed]
        if name.startswith("jpeg"):
            pairs = zip(back, tiles, strict=True)
            off = float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))
        size, pack_s, unpack_s = (
            np.mean(sizes), median(packing) / len(tiles), median(unpacking) / len(tiles),
        )  # fmt: skip
        found[name] = {
            "kb": round(size / 1e3, 1), "of_raw": round(size / tiles[0].nbytes, 3),
            "pack_ms": round(1e3 * pack_s, 2), "unpack_ms": round(1e3 * unpack_s, 2),
            "mean_difference_grey_levels": round(off, 2),
            "card_mb_per_s": round(size * CARD_RATE / 1e6),
            "card_pack_cores": round(pack_s * CARD_RATE, 1),
            "card_unpack_cores": round(unpack_s * CARD_RATE, 1),
        }  # fmt: skip
    return found


def main() -> None:
    """Parse flags, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("slides", type=Path, nargs="*")
    parser.add_argument("--tiles", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    source = read_files(args.tiles) if args.tiles else read_slides(args.slides)
    before = FETCHED.total[0]
    tiles = [np.ascontiguousarray(tile) for tile, _ in zip(source, range(MOST), strict=False)]
    file_kb = round((FETCHED.total[0] - before) / len(tiles) / 1e3, 1)
    result = {
        "machine": describe_machine(), "tiles": len(tiles),
        "slide_kb_a_tile": file_kb, "codecs": measure(tiles),
    }  # fmt: skip
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
