"""Reading tiles of makers' formats: the direct reader against openslide-python in plain use."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.bench import Figure, Options, Result, ask_module, synthetic_slide
from histo_ray.slides.reader import open_slide
from testing.dicom_slides import write_dicom
from testing.jpeg_slides import Kind
from testing.maker_slides import write_bif, write_philips, write_scn
from testing.ndpi_slides import write_ndpi

Pixels = npt.NDArray[np.uint8]
READERS = ("plain", "direct")
GOAL = 2.5
TILE = 256
YCC420 = Kind(rgb=False, subsampling=(2, 2), tile=(TILE, TILE))
YCC422 = replace(YCC420, subsampling=(2, 1))
RGB = replace(YCC420, rgb=True, subsampling=(1, 1))


def measure_formats(options: Options) -> Result:
    """One process reads all tiles of a slide by one reader; readers take turns."""
    side = 2_048 if options.quick else 8_192
    slides = options.slides or write_slides(options.folder, side)
    figures: list[Figure] = []
    detail: dict[str, Any] = {}
    for slide in slides:
        name = slide.parent.name if slide.suffix == ".dcm" else slide.name
        rows: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
        for _ in range(1 if options.quick else options.rounds):
            for reader in READERS:
                rows[reader].append(ask_module("benchmarks.read_tiles", reader, slide))
        differ = ask_module("benchmarks.read_tiles", "compare", slide)["differing_bytes"]
        detail[name] = {**rows, "differing_bytes": differ}
        plain, direct = ([row["tiles_per_cpu_s"] for row in rows[reader]] for reader in READERS)
        ratio = statistics.median(a / b for a, b in zip(direct, plain, strict=True))
        figures += [
            Figure(f"{name}: tiles", rows["plain"][0]["tiles"]),
            Figure(f"{name}: tiles/s of one core, plain", statistics.median(plain)),
            Figure(f"{name}: tiles/s of one core, direct", statistics.median(direct)),
            Figure(f"{name}: direct / plain", ratio, f">= {GOAL}", ratio >= GOAL),
            Figure(f"{name}: bytes that differ", differ, "0", differ == 0),
        ]
    return Result(figures, detail)


def write_slides(folder: Path, side: int) -> tuple[Path, ...]:
    """Synthetic tissue at 0.25 mpp in every format: what a run at 0.5 mpp shrinks, or finds."""
    draw = partial(_draw, _read_tissue(folder, side))
    across, down = side // TILE, side // TILE * 3 // 4
    size = across * TILE, down * TILE
    area = (((0, 0), (across, down), (0, 0)),)
    writers: dict[str, Callable[[Path], Path]] = {
        "level0.scn": lambda p: write_scn(p, (((300, 200), size),), kind=YCC420, draw=draw),
        "level0.tiff": lambda p: write_philips(p, size, kind=YCC420, factors=(1, 4), draw=draw),
        "level1.tiff": lambda p: write_philips(p, size, kind=YCC420, draw=draw),
        "level0.bif": lambda p: write_bif(p, area, kind=YCC420, factors=(1, 4), draw=draw),
        "level1.bif": lambda p: write_bif(p, area, kind=YCC420, draw=draw),
        "half.ndpi": lambda p: write_ndpi(
            p, (size, (size[0] // 4, size[1] // 4)), kind=YCC422, interval_px=side // 8, draw=draw
        ),
        "full.ndpi": lambda p: write_ndpi(
            p, (size,), kind=YCC422, interval_px=side // 8, per_cm=20_000, draw=draw
        ),
        "dicom-full-level0": lambda p: write_dicom(p, size, kind=YCC422, draw=draw),
        "dicom-rgb-level0": lambda p: write_dicom(p, size, kind=RGB, draw=draw),
        "dicom-sparse-level1": lambda p: write_dicom(
            p, size, kind=YCC422, factors=(1, 2, 4), full=False, draw=draw
        ),
    }
    return tuple(write(folder / name) for name, write in writers.items())


def _read_tissue(folder: Path, side: int) -> Pixels:
    path = synthetic_slide(folder / "tissue.svs", side, share=0.9)
    with open_slide(str(path)) as slide:
        return slide.read((0, 0), 0, slide.size)


def _draw(tissue: Pixels, width: int, height: int, seed: int) -> Pixels:
    """The tissue, scaled to a size."""
    del seed
    return cv2.resize(tissue, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
