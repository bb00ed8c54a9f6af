"""Pictures of slides as an extraction takes them: overview, tissue outline, tiles."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.errors import ConfigError, SlideError
from histo_ray.extract.slide import open_manifest_slide, plan_slide, slide_cache
from histo_ray.extract.subject import name_subject, tiling_of
from histo_ray.report.slides.preview import draw_overlay, draw_preview, write_png
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.tiles.pixels import locate_tissue, read_overview
from histo_ray.tiles.segmenters import state_segmenter
from histo_ray.types import Slide, TileGrid, TissueMask

PICTURE_PX = 1600
"""Longest side of the overview that is drawn on."""


def _legend(tiling: TilingConfig, mask: TissueMask | None) -> str:
    """What the colours mean, and how much of the slide is what."""
    parts = [f"tiles of {tiling.tile_px} px at {tiling.mpp:g} um/px"]
    if mask is not None:
        parts.append(f"green line: {_name_tissue(tiling)} ({mask.tissue_share:.1%} of the slide)")
        if mask.ink_share:
            parts.append(f"magenta line: pen ink ({mask.ink_share:.1%})")
    return "  ·  ".join([*parts, "blue boxes: tiles kept"])


def _name_tissue(tiling: TilingConfig) -> str:
    """What is outlined: tissue, or the classes of a segmenter that count as such."""
    facts = state_segmenter(tiling.tissue, tiling.mask_classes)
    return "tissue" if facts is None else f"{' or '.join(facts.taken)}, {facts.plugin}"


@dataclass(frozen=True)
class SlidePicture:
    """One slide, drawn."""

    page: npt.NDArray[np.uint8]
    """(height, width, 3) RGB with caption and scale bar."""
    overlay: npt.NDArray[np.uint8]
    """(height, width, 3) RGB, the overview with outline and tiles alone."""
    grid: TileGrid
    overview: npt.NDArray[np.uint8]
    """(height, width, 3) RGB, nothing drawn on it."""
    downsample: tuple[float, float]
    """Level-0 px per px of the overview, (x, y)."""


def picture_slide(
    slide: Slide,
    tiling: TilingConfig,
    fallback_mpp: float | None,
    cache: SlideCache | None = None,
) -> SlidePicture:
    """Draw what an extraction would take from a slide.

    Raises:
        SlideError: The slide cannot be used.
    """
    with open_manifest_slide(slide, fallback_mpp, cache=cache) as opened:
        found = locate_tissue(opened, tiling)
        plan = plan_slide(opened, slide, tiling, found)
        mask = found[0]
        pyramid = opened.pyramid
        widest_um = max(n * mpp for n, mpp in zip(pyramid.size, pyramid.mpp, strict=True))
        finest = max(pyramid.mpp)
        image, downsample = read_overview(opened, max(finest, widest_um / PICTURE_PX))
    note = _legend(tiling, mask)
    return SlidePicture(
        draw_preview(image, downsample, pyramid, mask, plan.grid, slide.slide_id, note),
        draw_overlay(image, downsample, mask, plan.grid),
        plan.grid,
        image,
        downsample,
    )


def write_picture(
    slide: Slide,
    tiling: TilingConfig,
    fallback_mpp: float | None,
    folder: Path,
    cache: SlideCache | None = None,
) -> Path:
    """Draw a slide as `picture_slide` does, into `folder` under its slide_id.

    Raises:
        SlideError: The slide cannot be used.
    """
    picture = picture_slide(slide, tiling, fallback_mpp, cache)
    return write_png(folder / f"{name_subject(slide)}.png", picture.page)


def draw_or_problem(slide: Slide, config: ExtractConfig, folder: str) -> str:
    """Draw one slide's overview with tissue and tiles into `folder`; why not, if not."""
    cache = slide_cache(config)
    try:
        write_picture(slide, tiling_of(slide, config), config.slide_mpp, Path(folder), cache)
    except SlideError as error:
        return error.problem
    except ConfigError as error:  # the disk is full: what is planned is printed all the same
        return str(error)
    return ""
