"""How well artefact measures tell drawn artefacts over real tissue, and what they cost.

Artefacts are SYNTHETIC, drawn over a real slide: pen strokes over tissue (densities add), folds
(density doubled along a band), defocus (Gaussian blur of known width), air bubbles (blurred disc
with a dark rim). A tile counts as hit where an artefact covers a quarter of it or more.

    python -m benchmarks.bench_quality SLIDE.svs [--pictures DIR]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from histo_ray.config import TilingConfig
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import OpenedSlide, open_slide
from histo_ray.tiles.artefacts import measure_artefacts
from histo_ray.tiles.blur import measure_blur
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.mark_shapes import dilate
from histo_ray.tiles.pixels import read_batch, read_overview
from histo_ray.tiles.quality import measure_focus
from histo_ray.tiles.tissue import examine_overview
from histo_ray.types import Mpp, Pyramid, TileGrid, TissueMask

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Draw = Callable[[Pixels, float, np.random.Generator], tuple[Pixels, Mask]]
TILE_PX, MPP, MASK_MPP = 224, 0.5, 8.0
COVERED = 0.25
"""Part of a tile that an artefact covers at least where the tile should be told."""
AWAY_UM = 100.0
"""A tile so far from any artefact should not be told."""


def read_whole(slide: OpenedSlide) -> tuple[Pixels, float]:
    """All pixels of a small slide at about `MPP`, and their microns."""
    image = slide.read((0, 0), 0, slide.size)
    factor = max(1, round(MPP / slide.mpp.x))
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), (
        slide.mpp.x * factor
    )


def _darken(image: Pixels, alpha: npt.NDArray[np.float32], density: tuple[float, ...]) -> Pixels:
    """Put something of some optical densities over an image."""
    light = np.power(10, -alpha[..., None] * np.asarray(density, np.float32))
    return np.asarray(np.clip(image * light, 0, 255) + 0.5, np.uint8)


def _band(shape: tuple[int, ...], width_px: float, rng: np.random.Generator) -> Mask:
    """A curved ribbon through the middle part of an image."""
    height, width = shape[:2]
    ends = rng.uniform(0.15, 0.85, (3, 2)) * [width, height]
    t = np.linspace(0, 1, 60)[:, None]
    curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
    band = np.zeros((height, width), np.uint8)
    cv2.polylines(band, [curve.round().astype(np.int32)], False, 1, max(1, round(width_px)))
    return np.asarray(band, bool)


def draw_ink(colour: tuple[float, ...], width_um: float) -> Draw:
    """A stroke of a felt pen."""

    def draw(image: Pixels, mpp: float, rng: np.random.Generator) -> tuple[Pixels, Mask]:
        band = _band(image.shape, width_um / mpp, rng)
        soft = cv2.GaussianBlur(band.astype(np.float32), (0, 0), 10 / mpp)
        return _darken(image, np.asarray(soft, np.float32), colour), band

    return draw


def draw_fold(width_um: float) -> Draw:
    """A band in which the tissue lies double."""

    def draw(image: Pixels, mpp: float, rng: np.random.Generator) -> tuple[Pixels, Mask]:
        band = _band(image.shape, width_um / mpp, rng)
        soft = cv2.GaussianBlur(band.astype(np.float32), (0, 0), 3 / mpp)[..., None]
        light = np.maximum(image, 1) / 245.0
        return np.asarray(np.clip(245 * light ** (1 + soft), 0, 255), np.uint8), band

    return draw


def draw_defocus(sigma_um: float) -> Draw:
    """A blurred half of the slide."""

    def draw(image: Pixels, mpp: float, rng: np.random.Generator) -> tuple[Pixels, Mask]:
        blurred = cv2.GaussianBlur(image, (0, 0), sigma_um / mpp)
        half = np.zeros(image.shape[:2], bool)
        if rng.random() < 0.5:
            half[: image.shape[0] // 2] = True
        else:
            half[image.shape[0] // 2 :] = True
        return np.where(half[..., None], blurred, image).astype(np.uint8), half

    return draw


def draw_bubble(radius_um: float, sigma_um: float = 5.0) -> Draw:
    """An air bubble: what lies below is out of focus, and its rim is dark."""

    def draw(image: Pixels, mpp: float, rng: np.random.Generator) -> tuple[Pixels, Mask]:
        height, width = image.shape[:2]
        centre = (rng.uniform(0.35, 0.65) * width, rng.uniform(0.3, 0.7) * height)
        rows, columns = np.ogrid[:height, :width]
        away = np.hypot(columns - centre[0], rows - centre[1]) * mpp
        disc = away < radius_um
        blurred = cv2.GaussianBlur(image, (0, 0), sigma_um / mpp)
        inside = np.where(disc[..., None], blurred, image).astype(np.uint8)
        rim = np.exp(-(((away - radius_um) / 8) ** 2)).astype(np.float32)
        return _darken(inside, rim, (0.7, 0.7, 0.7)), disc

    return draw


CASES: dict[str, tuple[Draw, str]] = {
    "pen, green, 300 um": (draw_ink((0.9, 0.25, 0.35), 300), "ink"),
    "pen, blue, 300 um": (draw_ink((1.0, 0.6, 0.1), 300), "ink"),
    "pen, black, 300 um": (draw_ink((0.9, 0.95, 1.0), 300), "ink"),
    "pen, red, 300 um": (draw_ink((0.08, 0.9, 0.7), 300), "ink"),
    "fold, 50 um": (draw_fold(50), "fold"),
    "fold, 100 um": (draw_fold(100), "fold"),
    "fold, 200 um": (draw_fold(200), "fold"),
    "defocus, 1 um": (draw_defocus(1), "blur"),
    "defocus, 2 um": (draw_defocus(2), "blur"),
    "defocus, 3 um": (draw_defocus(3), "blur"),
    "defocus, 5 um": (draw_defocus(5), "blur"),
    "bubble, 300 um": (draw_bubble(300), "blur"),
}
LIMITS = {"ink": (0.05, 0.2), "fold": (2.0, 2.5, 3.0), "blur": (1.3, 1.5, 2.0)}
"""Values above which a tile is said to have the artefact."""


def measure(image: Pixels, mpp: float, corners: npt.NDArray[np.int32]) -> dict[str, list[float]]:
    """All measures of the tiles of an image."""
    factor = MASK_MPP / mpp
    size = (round(image.shape[1] / factor), round(image.shape[0] / factor))
    overview = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    downsample = (image.shape[1] / size[0], image.shape[0] / size[1])
    scale = (mpp * downsample[0], mpp * downsample[1])
    side = (float(TILE_PX), float(TILE_PX))
    height, width = image.shape[:2]
    pyramid = Pyramid("drawn", Mpp(mpp, mpp), "file", ((width, height),))
    grid = TileGrid("drawn", corners, np.ones(len(corners), np.float32), side)
    found = measure_artefacts(_look_at(overview, scale, downsample), pyramid, grid)
    tiles = np.stack([image[y : y + TILE_PX, x : x + TILE_PX] for x, y in corners.tolist()])
    blur = measure_blur(tiles, mpp)
    return {"ink": found["ink"].tolist(), "fold": found["fold"].tolist(), "blur": blur.tolist()}


def _look_at(
    overview: Pixels, scale: tuple[float, float], downsample: tuple[float, float]
) -> TissueMask:
    found = examine_overview(overview, scale, TilingConfig())
    return TissueMask(found.pixels, downsample, found.ink, found.density)


def list_corners(image: Pixels, mpp: float) -> npt.NDArray[np.int32]:
    """Tiles at half a stride that are a third tissue or more."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.array(
        [
            (x, y)
            for y in range(0, image.shape[0] - TILE_PX + 1, TILE_PX // 2)
            for x in range(0, image.shape[1] - TILE_PX + 1, TILE_PX // 2)
            if (grey[y : y + TILE_PX, x : x + TILE_PX] < 215).mean() > 0.33
        ],
        np.int32,
    )


def _part_of(mask: Mask, corners: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    return np.array([mask[y : y + TILE_PX, x : x + TILE_PX].mean() for x, y in corners.tolist()])


def show_rates(image: Pixels, mpp: float, draws: int, pictures: Path | None) -> None:
    """Print detection and false alarms of each artefact and limit."""
    corners = list_corners(image, mpp)
    clean = {name: np.array(values) for name, values in measure(image, mpp, corners).items()}
    print(f"{len(corners)} tiles of {TILE_PX} px at {mpp:.3g} mpp, overview {MASK_MPP:g} mpp")
    for name, limits in LIMITS.items():
        shares = ", ".join(f"> {limit:g}: {(clean[name] > limit).mean():.1%}" for limit in limits)
        low, middle, high = np.nanquantile(clean[name], [0.05, 0.5, 0.95])
        print(f"untouched {name}: median {middle:.2f} ({low:.2f} to {high:.2f}); {shares}")
    for title, (draw, name) in CASES.items():
        hits: list[npt.NDArray[np.float64]] = []
        others: list[npt.NDArray[np.float64]] = []
        for seed in range(draws):
            drawn, mask = draw(image, mpp, np.random.default_rng(seed))
            values = np.array(measure(drawn, mpp, corners)[name])
            part = _part_of(mask, corners)
            hits.append(values[part >= COVERED])
            others.append(values[_part_of(dilate(mask, AWAY_UM, (mpp, mpp)), corners) == 0])
            if pictures is not None and seed == 0:
                path = pictures / f"{title.replace(', ', '-').replace(' ', '-')}.png"
                Image.fromarray(cv2.resize(drawn, None, fx=0.25, fy=0.25)).save(path)
        told = ", ".join(
            f"> {limit:g}: {(np.concatenate(hits) > limit).mean():.0%} of "
            f"{sum(map(len, hits))} ({(np.concatenate(others) > limit).mean():.1%} of others)"
            for limit in LIMITS[name]
        )
        middle = float(np.nanmedian(np.concatenate(hits)))
        print(f"{title}: {name} median {middle:.2f}; {told}")


def show_costs(path: str, repeats: int) -> None:
    """Print CPU seconds of what measures add to an extraction, as a share of reading, in turn."""
    spent = dict.fromkeys(("read", "focus", "overview and tissue", "ink and fold", "blur"), 0.0)
    tiling, count = TilingConfig(), 0
    for _ in range(repeats):
        with open_slide(path) as slide:  # anew, so that nothing is in its cache
            began = time.process_time()
            image, downsample = read_overview(slide, MASK_MPP)
            scale = (slide.mpp.x * downsample[0], slide.mpp.y * downsample[1])
            mask = _look_at(image, scale, downsample)
            spent["overview and tissue"] += time.process_time() - began
            grid = plan_tiles(slide.pyramid, mask, tiling)
            level = choose_level(slide.pyramid, tiling.mpp, tiling.tile_px)
            began = time.process_time()
            measure_artefacts(mask, slide.pyramid, grid)
            spent["ink and fold"] += time.process_time() - began
        with open_slide(path) as slide:
            began = time.process_time()
            tiles = read_batch(slide, grid, level, tiling.tile_px, 0, len(grid)).pixels
            spent["read"] += time.process_time() - began
        for name, work in _PIXEL_WORK.items():
            began = time.process_time()
            work(tiles)
            spent[name] += time.process_time() - began
        count += len(grid)
    for name, seconds in spent.items():
        print(
            f"{name}: {1e6 * seconds / count:.0f} us CPU a tile, "
            f"{seconds / spent['read']:.1%} of reading {count // repeats} tiles"
        )


_PIXEL_WORK: dict[str, Callable[[Pixels], object]] = {
    "focus": measure_focus,
    "blur": lambda tiles: measure_blur(tiles, MPP),
}


def main() -> None:
    """Print rates, then costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", help="small bright-field slide, which is read whole")
    parser.add_argument("--draws", type=int, default=5, help="of each artefact")
    parser.add_argument("--repeats", type=int, default=5, help="of the costs")
    parser.add_argument("--pictures", type=Path, help="folder for one picture an artefact")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.pictures is not None:
        args.pictures.mkdir(parents=True, exist_ok=True)
    with open_slide(args.slide) as slide:
        image, mpp = read_whole(slide)
        show_rates(image, mpp, args.draws, args.pictures)
    show_costs(args.slide, args.repeats)


if __name__ == "__main__":
    main()
