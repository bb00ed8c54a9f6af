"""Writes a synthetic slide as a pyramidal, tiled TIFF that OpenSlide opens as Aperio's.

The picture is drawn band by band. Coarser levels are averaged from the bands on the way and kept
as JPEG until their turn, so memory grows with the slide's compressed size only.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.synth.scene import SlideDesign, set_scene

TILE_PX = 256
LEVEL_FACTOR = 4
LEVELS = 3
JPEG_QUALITY = 80
THUMBNAIL_PX = 768
_THREADS = 2
Picture = npt.NDArray[np.uint8]


def write_slide(path: Path, plan: SlideDesign) -> Path:
    """Draw the planned slide into a file; the same plan gives the same bytes.

    Args:
        path: Where to write, by convention `*.svs`; replaced if it exists.
        plan: What to draw.

    Returns:
        `path`.
    """
    import tifffile  # here, so that importing the package stays quick

    width, height = plan.size
    coarser = [_Level(width // 4**k, height // 4**k) for k in range(1, LEVELS)]
    coarsest: list[Picture] = []
    common: dict[str, Any] = {
        "dtype": np.uint8, "tile": (TILE_PX, TILE_PX), "photometric": "ycbcr",
        "subsampling": (2, 2), "compression": "jpeg", "metadata": None, "software": False,
    }  # fmt: skip
    with tifffile.TiffWriter(path, bigtiff=width * height > 2**30) as tiff:
        tiff.write(
            _full_tiles(plan, coarser, coarsest),
            shape=(height, width, 3),
            description=_description(plan, ""),
            **common,
        )
        tiff.write(
            _thumbnail(np.concatenate(coarsest), plan.size),
            photometric="rgb", compression="jpeg", rowsperstrip=16, metadata=None, software=False,
            description=_description(plan, " -> thumbnail"),
        )  # fmt: skip
        for level in coarser:
            w, h = level.size
            tiff.write(
                iter(level.tiles),
                shape=(h, w, 3),
                description=_description(plan, f" -> {w}x{h}"),
                **common,
            )
    return path


class _Level:
    """One coarser level, fed from above with whole bands and encoded as soon as a band is full."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.tiles: list[bytes] = []
        self._rows = np.empty((0, width, 3), np.uint8)
        self._seen = 0

    def feed(self, band: Picture) -> Picture:
        """Average `band` of the level above, keep it, and return it.

        A band has a multiple of 16 rows, but for the last one of the slide.
        """
        width, height = self.size
        rows = len(band) // LEVEL_FACTOR
        small = np.empty((0, width, 3), np.uint8)
        if rows:
            whole = band[: rows * LEVEL_FACTOR, : width * LEVEL_FACTOR]
            small = cv2.resize(whole, (width, rows), interpolation=cv2.INTER_AREA).astype(np.uint8)
        self._seen += rows
        self._rows = np.concatenate([self._rows, small])
        while len(self._rows) >= TILE_PX or (self._seen == height and len(self._rows)):
            self.tiles += [_encode(tile) for tile in _cut(self._rows[:TILE_PX])]
            self._rows = self._rows[TILE_PX:]
        return small


def _full_tiles(
    plan: SlideDesign, coarser: list[_Level], coarsest: list[Picture]
) -> Iterator[bytes]:
    """Encoded tiles of level 0, row-major; feeds the coarser levels on the way.

    The bands of the last of them are also left in `coarsest`.
    """
    scene = set_scene(plan)
    width, height = plan.size

    def draw(top: int) -> tuple[Picture, list[bytes]]:
        band = scene.draw(0, top, width, min(TILE_PX, height - top))
        return band, [_encode(tile) for tile in _cut(band)]

    ahead: deque[Future[tuple[Picture, list[bytes]]]] = deque()
    tops = iter(range(0, height, TILE_PX))
    with ThreadPoolExecutor(_THREADS) as pool:
        ahead.extend(pool.submit(draw, top) for top in islice(tops, _THREADS + 1))
        while ahead:
            band, tiles = ahead.popleft().result()
            ahead.extend(pool.submit(draw, top) for top in islice(tops, 1))
            for level in coarser:
                band = level.feed(band)
            coarsest.append(band)
            yield from tiles


def _cut(band: Picture) -> Iterator[Picture]:
    """Full tiles from a band of at most their height, its edges repeated beyond the slide."""
    height, width = band.shape[:2]
    band = np.pad(band, ((0, TILE_PX - height), (0, -width % TILE_PX), (0, 0)), mode="edge")
    for left in range(0, width, TILE_PX):
        yield np.ascontiguousarray(band[:, left : left + TILE_PX])


def _encode(tile: Picture) -> bytes:
    import imagecodecs

    return bytes(
        imagecodecs.jpeg8_encode(
            tile, level=JPEG_QUALITY, colorspace="RGB", outcolorspace="YCBCR", subsampling=(2, 2)
        )
    )


def _thumbnail(picture: Picture, size: tuple[int, int]) -> Picture:
    scale = THUMBNAIL_PX / max(size)
    shape = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    small: Picture = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def _description(plan: SlideDesign, of_level: str) -> str:
    """Aperio's header: OpenSlide takes vendor and mpp from it."""
    width, height = plan.size
    return (
        "Aperio Image Library v11.2.1\r\n"
        f"{width}x{height} [0,0 {width}x{height}] ({TILE_PX}x{TILE_PX}){of_level} "
        f"JPEG/YCC Q={JPEG_QUALITY}|AppMag = {10 / plan.mpp:g}|MPP = {plan.mpp:.4f}"
        f"|Synthetic = histo_ray|Look = {plan.look.name}"
    )
