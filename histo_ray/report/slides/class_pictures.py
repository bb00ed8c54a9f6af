"""Sheet of the tiles that a tissue head is surest of, class by class. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.report.charts.canvas import Colour, Picture
from histo_ray.report.slides.class_map import colour_classes
from histo_ray.report.slides.slide_pixels import SlidePixels
from histo_ray.report.slides.tile_sheet import SheetRows, SheetTile, draw_tile_sheet
from histo_ray.text import count_of

SHOWN = 6
"""Tiles of a class."""


def list_shown(
    numbers: npt.NDArray[np.integer], scores: npt.NDArray[np.floating]
) -> dict[int, list[int]]:
    """List the tiles of each class with its highest scores, highest first.

    Args:
        numbers: (N,) class of each tile.
        scores: (N, K).

    Returns:
        By class, those that have tiles alone.
    """
    found = {}
    for number in range(scores.shape[1]):
        own = np.flatnonzero(numbers == number)
        best = own[np.argsort(-scores[own, number], kind="stable")[:SHOWN]]
        if len(best):
            found[number] = best.tolist()
    return found


def draw_class_sheet(
    shown: Mapping[int, Sequence[int]],
    scores: npt.NDArray[np.floating],
    coords: npt.NDArray[np.int32],
    classes: Sequence[str],
    pixels: SlidePixels,
    title: str,
    note: str,
) -> Picture:
    """Draw the tiles of `list_shown`, a part a class.

    Args:
        shown: From `list_shown`.
        scores: (N, K).
        coords: (N, 2) top-left (x, y), level-0 px.
        classes: (K,) names.
        pixels: What can be seen of the slide.
        title: First line.
        note: Below it.
    """
    colours = colour_classes(len(classes))
    counts = np.bincount(scores.argmax(axis=1), minlength=len(classes))

    def show(tile: int, number: int) -> SheetTile:
        red, green, blue = colours[number].tolist()
        colour: Colour = (red, green, blue)
        x, y = coords[tile].tolist()
        score = f"{scores[tile, number]:.2f}"
        return SheetTile(pixels.tiles.get(tile), score, f"tile {tile} at {x}, {y}", colour)

    parts = [
        SheetRows(
            f"{classes[number]}: {count_of(int(counts[number]), 'tile')}",
            [show(tile, number) for tile in tiles],
        )
        for number, tiles in shown.items()
    ]
    return draw_tile_sheet(parts, title, note, SHOWN)
