"""The same tissue at two resolutions: do tiles and vectors depend on microns alone?

Synthetic slides are drawn twice, at 0.25 and at 0.5 mpp. A slide given with `--slide` is averaged
2 x 2 into a copy of half its resolution.
"""

from pathlib import Path

import numpy as np
import tifffile

from benchmarks.bench import Figure, Options, Result, synthetic_slide
from histo_ray.config import TilingConfig
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.extract.slide import encode_block, open_manifest_slide, plan_slide, read_block
from histo_ray.slides.reader import OpenedSlide
from histo_ray.types import Floats, Slide

ENCODER = "random:resnet18?seed=0&px=224"
BAND = 2048
"""Rows of the fine slide averaged at once, px."""


def halve_slide(fine: OpenedSlide, path: Path) -> Path:
    """Write a copy of half the resolution: 2 x 2 means, lossless, mpp in the TIFF's tags."""
    width, height = (side // 2 for side in fine.pyramid.size)
    half = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, BAND // 2):
        rows = min(BAND // 2, height - top)
        band = fine.read((0, 2 * top), 0, (2 * width, 2 * rows)).astype(np.uint16)
        quads = band.reshape(rows, 2, width, 2, 3).sum((1, 3), dtype=np.uint16)
        half[top : top + rows] = (quads + 2) // 4
    mpp = fine.pyramid.mpp
    tifffile.imwrite(
        path,
        half,
        tile=(256, 256),
        photometric="rgb",
        compression="deflate",
        resolution=(1e4 / (2 * mpp.x), 1e4 / (2 * mpp.y)),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    return path


def match_tiles(fine: Floats, coarse: Floats, tolerance_um: float) -> list[tuple[int, int]]:
    """Pairs of rows of two (n, 2) positions in um that are nearest and within the tolerance."""
    pairs = []
    for row, position in enumerate(fine):
        distance = np.abs(coarse - position).max(axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] <= tolerance_um:
            pairs.append((row, nearest))
    return pairs


def measure_scale(options: Options) -> Result:
    """Tile counts and cosines of one pair of slides."""
    encoder = load_encoder(resolve(options.encoder or ENCODER), device="cpu")
    tiling, most = TilingConfig(), 24 if options.quick else 256
    side = 4_000 if options.quick else 8_000
    fine_path = (
        options.slides[0]
        if options.slides
        else synthetic_slide(options.folder / "fine.svs", side, 0.25)
    )
    with open_manifest_slide(_slide("fine", fine_path), None) as fine:
        coarse_path = (
            halve_slide(fine, options.folder / "half.tif")
            if options.slides
            else synthetic_slide(options.folder / "coarse.svs", side // 2, 0.5)
        )
        with open_manifest_slide(_slide("coarse", coarse_path), None) as coarse:
            slides = (fine, coarse)
            plans = [
                plan_slide(opened, _slide(opened.pyramid.slide_id, fine_path), tiling)
                for opened in slides
            ]
            where = [
                plan.grid.coords * np.asarray(plan.slide.mpp) for plan in plans
            ]  # um from the corner
            pairs = match_tiles(where[0], where[1], tiling.mpp)
            step = max(1, len(pairs) // most)
            cosines, drift = [], []
            for rows in pairs[::step]:
                blocks = [
                    read_block(o, p, tiling.tile_px, range(r, r + 1)).pixels
                    for o, p, r in zip(slides, plans, rows, strict=True)
                ]
                a, b = (
                    encode_block(encoder, pixels, 1, "float32")[0][0].astype(np.float64)
                    for pixels in blocks
                )
                cosines.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
                drift.append(float(np.abs(blocks[0].astype(int) - blocks[1]).mean()))
    counts = [len(plan.grid) for plan in plans]
    middle, low = float(np.median(cosines)), float(np.percentile(cosines, 5))
    return Result(
        [
            Figure("tiles at the finer resolution", counts[0]),
            Figure("tiles at half of it", counts[1]),
            Figure("tiles of both at the same place", len(pairs)),
            Figure("pairs encoded", len(cosines)),
            Figure("mean grey-level difference", float(np.mean(drift))),
            Figure("cosine, median", middle, "> 0.99", middle > 0.99),
            Figure("cosine, 5th percentile", low, "> 0.99", low > 0.99),
            Figure("cosine, least", min(cosines), "> 0.99", min(cosines) > 0.99),
        ],
        {"encoder": encoder.spec.name, "cosines": cosines},
    )


def _slide(name: str, path: Path) -> Slide:
    return Slide(slide_id=name, path=str(path), patient_id=name)
