"""Reading tiles: this library's readers against openslide-python as it is usually called."""

import statistics
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tifffile

from benchmarks.bench import Figure, Options, Result, ask_module, synthetic_slide

READERS = ("plain", "direct", "openslide", "tifffile")
"""`plain` is openslide-python's read_region, RGB, resize; the next two are this library's."""
GUEST = "pyvips"
"""Measured where it is installed (`pyvips[binary]`)."""
MAX_MIB = 400


def measure_reading(options: Options) -> Result:
    """One process reads all tiles of a slide by one reader; readers take turns."""
    side = 4_000 if options.quick else 20_000
    slides = options.slides or (synthetic_slide(options.folder / "R.svs", side),)
    readers = (*READERS, *([GUEST] if find_spec(GUEST) else []))
    figures: list[Figure] = []
    detail: dict[str, Any] = {}
    for slide in slides:
        rows: dict[str, list[dict[str, float]]] = {reader: [] for reader in readers}
        for _ in range(1 if options.quick else options.rounds):
            for reader in readers:
                rows[reader].append(ask_module("benchmarks.read_tiles", reader, slide))
        compared = ask_module("benchmarks.read_tiles", "compare", slide)
        detail[slide.name] = {**rows, "compared": compared}
        figures += _figures(slide, rows, compared)
    return Result(figures, detail)


def _figures(
    slide: Path, rows: dict[str, list[dict[str, float]]], compared: dict[str, float]
) -> list[Figure]:
    name = slide.stem
    figures = [
        Figure(f"{name}: tiles/s of one core, {reader}", _median(rows[reader], "tiles_per_cpu_s"))
        for reader in rows
    ]
    ratio = statistics.median(
        ours["tiles_per_cpu_s"] / theirs["tiles_per_cpu_s"]
        for ours, theirs in zip(rows["direct"], rows["plain"], strict=True)
    )
    goal = _goal(slide, rows["direct"][0]["ratio_of_sides"])
    figures.append(Figure(f"{name}: direct / plain", ratio, f">= {goal}", ratio >= goal))
    peak = max(row["peak_mib"] for row in rows["direct"])
    figures.append(Figure(f"{name}: peak MiB, direct", peak, f"< {MAX_MIB}", peak < MAX_MIB))
    differ = compared["differing_bytes"]
    figures.append(Figure(f"{name}: bytes that differ", differ, "0", differ == 0))
    return figures


def _median(rows: list[dict[str, float]], key: str) -> float:
    return statistics.median(row[key] for row in rows)


def _goal(slide: Path, ratio_of_sides: float) -> float:
    """Goals, by how the slide is compressed and whether tiles are shrunk."""
    if ratio_of_sides < 1.5:
        return 3.5
    with tifffile.TiffFile(slide) as tiff:
        page = tiff.pages.first
        return 4.0 if page.photometric == tifffile.PHOTOMETRIC.RGB else 4.5
