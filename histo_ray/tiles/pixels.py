"""Pixels of an opened slide: its overview, and its tiles in batches."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from histo_ray.config import TilingConfig, parse_settings, tissue_kind
from histo_ray.errors import ConfigError, SlideError
from histo_ray.slides.levels import choose_level
from histo_ray.slides.overview import shrink_slide
from histo_ray.slides.reader import OpenedSlide
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.masks import given_mask_path, read_mask
from histo_ray.tiles.resample import needs_no_resampling, resample_tile
from histo_ray.tiles.segment_slide import segment_slide
from histo_ray.tiles.segmenters import check_tissue, load_segmenter
from histo_ray.tiles.stain import StainFit, fit_stain, normalise
from histo_ray.tiles.tissue import examine_overview
from histo_ray.types import LevelRead, Mpp, TileBatch, TileGrid, TissueMask

MOST_OVERVIEW_PX = 2**28
"""Most px of an overview, which is held whole; a slide of 75 x 50 mm at 4 mpp has an eighth."""


FoundTissue = tuple[TissueMask | None, str, str]
"""What `locate_tissue` finds."""


def read_overview(
    slide: OpenedSlide, mask_mpp: float
) -> tuple[npt.NDArray[np.uint8], tuple[float, float]]:
    """The whole slide, area-averaged to about `mask_mpp`; memory does not grow with the slide.

    Args:
        slide: An opened slide.
        mask_mpp: Microns per px of the overview; a coarser slide is taken as it is.

    Returns:
        (h, w, 3) uint8, and its (x, y) level-0 px per px.

    Raises:
        SlideError: A region cannot be read, or the overview would be too large.
    """
    (width, height), mpp = slide.size, slide.mpp
    w = min(width, max(1, round(width * mpp.x / mask_mpp)))
    h = min(height, max(1, round(height * mpp.y / mask_mpp)))
    if w * h > MOST_OVERVIEW_PX:
        raise SlideError(
            slide.slide_id,
            f"an overview at {mask_mpp:g} mpp would have {w} x {h} px, more than the "
            f"{MOST_OVERVIEW_PX} px that are held at once; raise --mask-mpp",
        )
    return shrink_slide(slide, (w, h)), (width / w, height / h)


def locate_tissue(slide: OpenedSlide, tiling: TilingConfig) -> FoundTissue:
    """The slide's tissue by the method of `tiling.tissue`.

    Args:
        slide: An opened slide.
        tiling: `tissue` is `otsu`, `none`, a pattern with `{slide_id}` of mask files, or a
            segmenter.

    Returns:
        The mask (None: every tile counts), why it holds no tissue (else empty), and the SHA-256
        of a given mask's file (else empty).

    Raises:
        SlideError: Tissue cannot be told on this slide, its mask is unusable, or a segmenter fails
            on it.
        ConfigError: `tiling.tissue` is none of these, or the segmenter is not here.
    """
    kind = tissue_kind(tiling.tissue)
    if kind == "segmenter":
        segmenter = load_segmenter(tiling.tissue)
        return *segment_slide(slide, segmenter, tiling.mask_classes), ""
    check_tissue(tiling.tissue, tiling.mask_classes)
    if kind == "none":
        return None, "", ""
    if kind == "otsu":
        image, downsample = read_overview(slide, tiling.mask_mpp)
        mpp = Mpp(slide.mpp.x * downsample[0], slide.mpp.y * downsample[1])
        found = examine_overview(image, mpp, tiling, slide.slide_id)
        mask = TissueMask(found.pixels, downsample, found.ink, found.density)
        return mask, found.reason, ""
    path = given_mask_path(tiling.tissue, slide.slide_id)
    classes = tiling.mask_classes
    mask, digest = read_mask(path, slide.size, slide.slide_id, classes)
    of_classes = f" of class {' or '.join(classes)}" if classes else ""
    reason = "" if mask.pixels.any() else f"no tissue: the mask {path} marks none{of_classes}"
    return mask, reason, digest


STAIN_TILES = 32
"""Tiles of a slide, evenly spread over its grid, that its stain is fitted on."""


def fit_slide_stain(
    slide: OpenedSlide, grid: TileGrid, level_read: LevelRead, tiling: TilingConfig
) -> StainFit | None:
    """Fit the stain of a slide; None if `tiling` asks for none or there are no tiles.

    Raises:
        SlideError: A tile cannot be read.
    """
    if tiling.stain == "none" or not len(grid):
        return None
    chosen = np.linspace(0, len(grid) - 1, min(STAIN_TILES, len(grid))).round().astype(int)
    tiles = [
        read_batch(slide, grid, level_read, tiling.tile_px, tile, tile + 1).pixels
        for tile in chosen.tolist()
    ]
    return fit_stain(np.concatenate(tiles), tiling.stain)


def read_batch(
    slide: OpenedSlide,
    grid: TileGrid,
    level_read: LevelRead,
    tile_px: int,
    start: int,
    stop: int,
    into: npt.NDArray[np.uint8] | None = None,
) -> TileBatch:
    """Read and resample consecutive tiles.

    Args:
        slide: The opened slide.
        grid: Its tiles.
        level_read: From `choose_level` for the same tiling.
        tile_px: Edge of a tile.
        start: First tile.
        stop: One past the last.
        into: Memory for them, (number of tiles, tile_px, tile_px, 3); None: of their own.

    Raises:
        SlideError: A tile cannot be read.
    """
    coords = grid.coords[start:stop]
    tiles = np.empty((len(coords), tile_px, tile_px, 3), np.uint8) if into is None else into
    as_read = needs_no_resampling(level_read.extent, tile_px)
    width, height = level_read.read_size
    region = np.empty((height, width, 3), np.uint8)
    for target, (x, y) in zip(tiles, coords.tolist(), strict=True):
        slide.read_into(target if as_read else region, (x, y), level_read.level)
        if not as_read:
            resample_tile(region, level_read.extent, target)
    return TileBatch(grid.slide_id, start, coords, tiles)


def read_tiles(
    slide: OpenedSlide,
    mpp: float = 0.5,
    tile_px: int = 224,
    batch_size: int = 64,
    tissue: str = "none",
    stain: str = "none",
    **tiling: float | None,
) -> Iterator[TileBatch]:
    """All tiles of a slide, batch by batch, row-major; none if a tile is larger than the slide.

    Args:
        slide: An opened slide.
        mpp: Microns per px of the tiles.
        tile_px: Edge of a tile.
        batch_size: Tiles a batch; the last may be smaller.
        tissue: `none` (every tile), `otsu`, a pattern of mask files, or a segmenter.
        stain: `none`, `macenko` or `reinhard`.
        tiling: Further fields of `TilingConfig`, as `stride_px` or `min_tissue`.

    Raises:
        SlideError: The slide is too coarse or damaged.
        ConfigError: Settings that make no tiling.
    """
    given = {"mpp": mpp, "tile_px": tile_px, "tissue": tissue, "stain": stain, **tiling}
    settings = parse_settings(TilingConfig, given, "read_tiles")
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; it must be at least 1")
    mask, _, _ = locate_tissue(slide, settings)
    grid = plan_tiles(slide.pyramid, mask, settings)
    level_read = choose_level(slide.pyramid, mpp, tile_px)
    fit = fit_slide_stain(slide, grid, level_read, settings)
    batches = (
        read_batch(slide, grid, level_read, tile_px, start, start + batch_size)
        for start in range(0, len(grid), batch_size)
    )
    if fit is None:
        return batches
    return (replace(batch, pixels=normalise(batch.pixels, fit)) for batch in batches)
