"""The tissue of a slide by a segmenter: squares of a strip at a time, so memory stays bounded."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.slides.overview import shrink_rows
from histo_ray.slides.reader import OpenedSlide
from histo_ray.tiles.segmenters import Labels, Segmenter
from histo_ray.types import Size, TissueMask

MOST_MASK_PX = 2**25
"""Most px of a mask; of a larger one squares of k x k px become one, by their majority."""
BATCH = 8
"""Squares that a segmenter is given at once."""
Mask = npt.NDArray[np.bool_]


def segment_slide(
    slide: OpenedSlide, segmenter: Segmenter, mask_classes: Sequence[str]
) -> tuple[TissueMask, str]:
    """Segment a slide, and mark what counts as tissue.

    Args:
        slide: An opened slide.
        segmenter: The loaded segmenter.
        mask_classes: Classes that count; empty: those that the segmenter states.

    Returns:
        The mask at the segmenter's mpp, or coarser; and why it holds no tissue, else empty.

    Raises:
        SlideError: A region cannot be read, or the segmenter fails on it.
        ConfigError: A class that the segmenter has not.
    """
    spec, taken = segmenter.spec, segmenter.choose_classes(mask_classes)
    counts = np.isin(np.arange(256), [spec.classes.index(name) for name in taken])
    (full_width, full_height), mpp = slide.size, slide.mpp
    width = min(full_width, max(1, round(full_width * mpp.x / spec.mpp)))
    height = min(full_height, max(1, round(full_height * mpp.y / spec.mpp)))
    merged = math.ceil(math.sqrt(width * height / MOST_MASK_PX))
    parts = [
        _merge(counts[labels], merged)
        for labels in _label_strips(slide, segmenter, (width, height), merged)
    ]
    pixels = np.concatenate(parts)
    downsample = merged * full_width / width, merged * full_height / height
    reason = ""
    if not pixels.any():
        reason = (
            f"no tissue: {segmenter.plugin.describe()} finds none of class {' or '.join(taken)}"
        )
    return TissueMask(pixels, downsample), reason


def _label_strips(
    slide: OpenedSlide, segmenter: Segmenter, size: Size, multiple: int
) -> Iterator[Labels]:
    """Classes of a slide of `size` px from top to bottom, in strips of whole `multiple`s."""
    (width, height), spec = size, segmenter.spec
    if spec.input_px is None:
        image = shrink_rows(slide, size, 0, height)
        yield segmenter.segment(image[np.newaxis], slide.slide_id)[0]
        return
    edge, margin = spec.input_px, spec.margin_px
    step = edge - 2 * margin
    step -= step % multiple if step > multiple else 0
    columns = range(0, width, step)
    ground = np.asarray(slide.background, np.uint8)
    for top in range(0, height, step):
        strip = np.empty((edge, columns[-1] + edge, 3), np.uint8)
        strip[:] = ground
        first, stop = max(0, top - margin), min(height, top - margin + edge)
        rows = shrink_rows(slide, size, first, stop)
        at = first - (top - margin)
        strip[at : at + len(rows), margin : margin + width] = rows[:, : strip.shape[1] - margin]
        squares = np.stack([strip[:, left : left + edge] for left in columns])
        labels = np.concatenate(
            [
                segmenter.segment(squares[start : start + BATCH], slide.slide_id)
                for start in range(0, len(squares), BATCH)
            ]
        )
        inner = labels[:, margin : margin + step, margin : margin + step]
        row = np.concatenate(list(inner), axis=1)
        yield row[: height - top, :width]


def _merge(mask: Mask, count: int) -> Mask:
    """Make squares of `count` x `count` px one, by their majority; the far rim is repeated."""
    if count == 1:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % count), (0, -width % count)), mode="edge")
    rows, columns = padded.shape[0] // count, padded.shape[1] // count
    shares = padded.reshape(rows, count, columns, count).mean((1, 3))
    return np.asarray(shares >= 0.5, np.bool_)
