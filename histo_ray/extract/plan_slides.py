"""What processes do with the slides of a plan: open, find tissue, lay the grid, draw, read."""

import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from histo_ray.config import ExtractConfig
from histo_ray.errors import SlideError
from histo_ray.extract.slide import (
    SlidePlan,
    open_manifest_slide,
    plan_slide,
    read_block,
    slide_cache,
)
from histo_ray.preview import write_picture
from histo_ray.slides.reader import OpenedSlide
from histo_ray.types import Slide

TOO_MUCH_MEMORY = "needs more memory than there is, or states a size that is made up"


def keep_to_one_core() -> None:
    """Slides are worked on side by side; each takes one core."""
    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
    threadpool_limits(1)


def plan_or_problem(slide: Slide, config: ExtractConfig) -> SlidePlan | str:
    """The plan of one slide, or why it cannot be used."""
    try:
        with _open(slide, config) as opened:
            return plan_slide(opened, slide, config.tiling)
    except SlideError as error:
        return error.problem
    except MemoryError as error:
        return f"{TOO_MUCH_MEMORY} ({error})"


def draw_or_problem(slide: Slide, config: ExtractConfig, folder: str) -> str:
    """Draw one slide's overview with tissue and tiles into `folder`; why not, if not."""
    cache = slide_cache(config)
    try:
        write_picture(slide, config.tiling, config.slide_mpp, Path(folder), cache)
    except SlideError as error:
        return error.problem
    return ""


def time_reading(
    slide: Slide, config: ExtractConfig, plan: SlidePlan, count: int
) -> tuple[npt.NDArray[np.uint8], float]:
    """Pixels of a slide's first `count` tiles, and the seconds that each took to read."""
    with _open(slide, config) as opened:
        began = time.monotonic()
        block = read_block(opened, plan, config.tile_px, range(count))
        return block.pixels, (time.monotonic() - began) / count


def _open(slide: Slide, config: ExtractConfig) -> OpenedSlide:
    cache = slide_cache(config)
    return open_manifest_slide(slide, config.slide_mpp, config.slide_reader, cache)
