"""Work of a plan's processes on one slide: open, find tissue, lay the grid, read."""

import time

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from histo_ray.config import ExtractConfig
from histo_ray.errors import SlideError
from histo_ray.extract.slide import (
    SubjectPlan,
    open_manifest_slide,
    plan_slide,
    read_block,
    slide_cache,
)
from histo_ray.extract.subject import tiling_of
from histo_ray.extract.tile_reader import TOO_MUCH_MEMORY
from histo_ray.slides.reader import OpenedSlide
from histo_ray.types import Slide


def keep_to_one_core() -> None:
    """Keep this process to one core: slides are worked on side by side."""
    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
    threadpool_limits(1)


def plan_or_problem(slide: Slide, config: ExtractConfig) -> SubjectPlan | str:
    """The plan of one slide, or why it cannot be used."""
    try:
        with _open(slide, config) as opened:
            return plan_slide(opened, slide, tiling_of(slide, config))
    except SlideError as error:
        return error.problem
    except MemoryError as error:
        return f"{TOO_MUCH_MEMORY} ({error})"


def time_reading(
    slide: Slide, config: ExtractConfig, plan: SubjectPlan, count: int
) -> tuple[npt.NDArray[np.uint8], float]:
    """Pixels of a slide's first `count` tiles, and the seconds that each took to read."""
    with _open(slide, config) as opened:
        began = time.monotonic()
        block = read_block(opened, plan, plan.tiling.settings["tile_px"], range(count))
        return block.pixels, (time.monotonic() - began) / count


def _open(slide: Slide, config: ExtractConfig) -> OpenedSlide:
    cache = slide_cache(config)
    return open_manifest_slide(slide, config.slide_mpp, config.slide_reader, cache)
