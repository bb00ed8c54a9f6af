"""A slide's picture: its overview with the tissue's outline and the tiles that were kept."""

import io
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from histo_ray.errors import ConfigError
from histo_ray.report.charts.canvas import (
    FAINT,
    GRID,
    OUTLINE,
    PEN,
    Picture,
    blank,
    draw_scale_bar,
    frame,
    paste,
    shorten,
    wrap,
    write_text,
)
from histo_ray.types import Pyramid, TileGrid, TissueMask

SMALLEST_PX = 640
"""Overviews whose longer side is shorter are enlarged by a whole factor."""
_MARGIN = 16
_NARROWEST = 360
_FILL = 0.14
_LINE = 0.75
_LEAST_LINED_PX = 5


def draw_preview(
    image: Picture,
    downsample: tuple[float, float],
    pyramid: Pyramid,
    mask: TissueMask | None = None,
    grid: TileGrid | None = None,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draw a slide's overview with caption, scale bar, tissue outline and tiles.

    Args:
        image: (height, width, 3) RGB overview of the whole slide.
        downsample: Level-0 px per px of `image`, (x, y).
        pyramid: The slide's name, size and resolution, for the caption and the scale bar.
        mask: Tissue to outline, and pen marks in another colour; None draws none.
        grid: Tiles to draw; None draws none.
        title: First line; the slide's id if empty.
        note: Added to the caption.

    Returns:
        (height, width, 3) RGB, at least 392 px wide.
    """
    image, downsample = enlarge_small(image, downsample)
    overlay = draw_overlay(image, downsample, mask, grid)
    scale = downsample[0] * pyramid.mpp.x
    height, width = overlay.shape[:2]
    draw_scale_bar(overlay, scale, (0, 0, width, height))
    caption = "  ·  ".join(filter(None, [describe(pyramid, grid), note]))
    return framed(overlay, title or pyramid.slide_id, caption)


def draw_overlay(
    image: Picture,
    downsample: tuple[float, float],
    mask: TissueMask | None,
    grid: TileGrid | None,
) -> Picture:
    """Copy `image` and draw the tissue's outline and the tiles' borders on it."""
    picture = image.copy()
    if grid is not None:
        _draw_tiles(picture, tile_boxes(grid, downsample, image.shape))
    if mask is not None:
        _draw_outlines(picture, mask.pixels, mask.downsample, downsample, OUTLINE)
        if mask.ink is not None and mask.ink.any():
            _draw_outlines(picture, mask.ink, mask.downsample, downsample, PEN)
    return picture


def _draw_outlines(
    picture: Picture,
    pixels: npt.NDArray[np.bool_],
    mask_downsample: tuple[float, float],
    downsample: tuple[float, float],
    colour: tuple[int, int, int],
) -> None:
    fitted = _fit_mask(pixels, mask_downsample, downsample, picture.shape)
    outlines, _ = cv2.findContours(fitted, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thick = 2 if max(picture.shape) >= SMALLEST_PX else 1
    cv2.drawContours(picture, outlines, -1, colour, thick, cv2.LINE_AA)


def tile_boxes(
    grid: TileGrid, downsample: tuple[float, float], shape: tuple[int, ...]
) -> npt.NDArray[np.int32]:
    """Convert the tiles' coords to boxes in an overview.

    Args:
        grid: The tiles.
        downsample: Level-0 px per overview px, (x, y).
        shape: (height, width, ...) of the overview; boxes are cut at its edges.

    Returns:
        (N, 4) int32 left, top, right, bottom in overview px; right and bottom lie outside.
    """
    corners = np.concatenate([grid.coords, grid.coords + np.array(grid.side)], axis=1)
    boxes = np.round(corners / np.array([*downsample, *downsample])).astype(np.int32)
    limits = np.array([shape[1], shape[0]] * 2, np.int32)
    clipped: npt.NDArray[np.int32] = np.clip(boxes, 0, limits)
    return clipped


def describe(pyramid: Pyramid, grid: TileGrid | None) -> str:
    """Describe a slide in one line: size, extent, resolution, tiles."""
    (width, height), mpp = pyramid.size, pyramid.mpp
    resolution = f"{mpp.x:.4g}" if mpp.x == mpp.y else f"{mpp.x:.4g} x {mpp.y:.4g}"
    parts = [
        f"{width:,} x {height:,} px",
        f"{width * mpp.x / 1000:.3g} x {height * mpp.y / 1000:.3g} mm",
        f"{resolution} um/px ({pyramid.mpp_source})",
    ]
    if grid is not None:
        parts.append(f"{len(grid):,} tile{'' if len(grid) == 1 else 's'}")
    return "  ·  ".join(parts)


def framed(picture: Picture, title: str, caption: str) -> Picture:
    """Put `picture` on paper below a title and a caption of up to three lines."""
    height, width = picture.shape[:2]
    room = max(width, _NARROWEST)
    lines = wrap(caption, 13, room, 3)
    top = _MARGIN + 28 + 19 * len(lines) + 8
    page = blank(room + 2 * _MARGIN, top + height + _MARGIN)
    write_text(page, (_MARGIN, _MARGIN - 4), shorten(title, 20, room, "ends"), 20)
    for number, line in enumerate(lines):
        write_text(page, (_MARGIN, _MARGIN + 26 + 19 * number), line, 13, FAINT)
    left = _MARGIN + (room - width) // 2
    paste(page, picture, (left, top))
    return page


def enlarge_small(
    image: Picture, downsample: tuple[float, float]
) -> tuple[Picture, tuple[float, float]]:
    """Enlarge an overview too small to draw on; returns it with its new downsample."""
    height, width = image.shape[:2]
    factor = -(-SMALLEST_PX // max(height, width))
    if factor == 1:
        return image, downsample
    size = (width * factor, height * factor)
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    return large, (downsample[0] / factor, downsample[1] / factor)


def encode_png(picture: Picture) -> bytes:
    """Encode a picture; Pillow reports a full disk badly where it writes a file itself."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "PNG")
    return encoded.getvalue()


def write_png(path: Path, picture: Picture) -> Path:
    """Write a picture, whole or not at all, and its folder if it is missing.

    Raises:
        ConfigError: It cannot be written there.
    """
    encoded = encode_png(picture)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded)
    except OSError as error:
        with suppress(OSError):
            if path.is_file():  # half of it
                path.unlink()
        raise ConfigError(
            f"picture {path}: cannot be written ({error.strerror}); choose another folder, or "
            "make room there"
        ) from None
    return path


def _draw_tiles(picture: Picture, boxes: npt.NDArray[np.int32]) -> None:
    """Tint the tiles and, where they are large enough, line their borders."""
    filled = np.zeros(picture.shape[:2], np.float32)
    for left, top, right, bottom in boxes.tolist():
        filled[top:bottom, left:right] = _FILL
    for box in boxes.tolist():
        if min(box[2] - box[0], box[3] - box[1]) >= _LEAST_LINED_PX:
            frame(filled, box, _LINE)
    strength = filled[..., None]
    picture[:] = (picture * (1 - strength) + np.array(GRID) * strength + 0.5).astype(np.uint8)


def _fit_mask(
    pixels: npt.NDArray[np.bool_],
    mask_downsample: tuple[float, float],
    downsample: tuple[float, float],
    shape: tuple[int, ...],
) -> npt.NDArray[np.uint8]:
    """Resample a mask to the overview's resolution, (height, width) of 0 and 1."""
    scale_x, scale_y = downsample[0] / mask_downsample[0], downsample[1] / mask_downsample[1]
    matrix = np.array(
        [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5]], np.float64
    )
    fitted = cv2.warpAffine(
        pixels.astype(np.float32),
        matrix,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return (fitted >= 0.5).astype(np.uint8)
