"""Pictures of a slide's tile scores: heat map, and sheet of its highest and lowest tiles. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.tiles.tile_contributions import TileScores
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.report.charts.canvas import Colour, Picture
from histo_ray.report.charts.colour_scale import ColourScale, fit_scale
from histo_ray.report.slides.heatmap import draw_tile_heatmap
from histo_ray.report.slides.slide_pixels import SlidePixels
from histo_ray.report.slides.tile_sheet import SheetRows, SheetTile, draw_tile_sheet
from histo_ray.text import count_of
from histo_ray.types import TileGrid

COLUMNS = 6
"""Tiles of a row."""


class ScorePictures(NamedTuple):
    """Pictures of one slide and target, (height, width, 3) RGB each."""

    heatmap: Picture
    weights: Picture | None
    """Attention, or other weights of tiles; None where all tiles weigh the same."""
    sheet: Picture


def choose_extremes(values: npt.NDArray[np.float64], most: int) -> tuple[list[int], list[int]]:
    """Choose the tiles with the highest and the lowest values; none is in both.

    Args:
        values: (N,).
        most: Of each at most.

    Returns:
        The highest, highest first, and the lowest, lowest first.
    """
    order = np.argsort(-values, kind="stable").tolist()
    count = min(most, len(order) // 2)
    count -= count % COLUMNS if count > COLUMNS else 0  # whole rows
    top = order[: max(count, min(1, len(order)))]
    return top, order[len(order) - count :][::-1]


def scale_scores(scores: TileScores, record: ScoreRecord) -> ColourScale:
    """Colours of scores: neutral for an average patient of the training part."""
    return fit_scale(scores.score, record.neutral, "the average patient")


def draw_scores(
    scores: TileScores, coords: npt.NDArray[np.int32], record: ScoreRecord, pixels: SlidePixels,
    top: int,
) -> ScorePictures:  # fmt: skip
    """Draw a slide's scores.

    Args:
        scores: Of its N tiles.
        coords: (N, 2) top-left (x, y), level-0 px.
        record: Of the scores.
        pixels: What can be seen of the slide.
        top: Highest and lowest tiles on the sheet.
    """
    scale = scale_scores(scores, record)
    grid = TileGrid(record.slide_id, coords, np.ones(len(coords), np.float32), record.side)
    title = f"{record.target} on {record.slide_id}" + (" (synthetic)" if record.synthetic else "")
    missing = f"no slide behind the tiles: {pixels.problem}" if pixels.problem else ""
    about = "  ·  ".join(filter(None, [describe_heads(record), missing]))
    seen = (pixels.overview, pixels.downsample, grid)
    heatmap = draw_tile_heatmap(*seen, scores.score, record.scale, title, scale, about)
    weights = None
    relative = scores.weight * record.patient_tiles
    if np.ptp(relative) > 1e-6:
        word = "attention" if record.poolings == ("bags",) else "weight"
        label = f"{word} of each tile (1: the average tile)"
        weights = draw_tile_heatmap(*seen, relative, label, title, None, about)
    return ScorePictures(heatmap, weights, _draw_sheet(scores, coords, record, pixels, scale, top))


def describe_heads(record: ScoreRecord) -> str:
    """Say whose scores these are and what the patient's prediction is, in one line."""
    kind = "out-of-fold, " if record.out_of_fold else ""
    means = f"mean of {count_of(record.heads, 'head')}" if record.heads > 1 else "one head"
    seen = " that did not see the patient" if record.out_of_fold else ""
    parts = [f"{kind}{means}{seen} ({record.source}, {record.encoder})"]
    if record.decision is not None and record.predicted is not None:
        said = f"patient {record.patient_id}: {record.decision:.3g}"
        if record.scale.startswith("log-odds"):
            said += f" (probability {record.predicted:.2f})"
        parts.append(said)
    if not record.exact:
        parts.append(
            f"pooling {', '.join(record.poolings)}: no exact shares, but the influence of leaving "
            "a tile out"
        )
    return "  ·  ".join([*parts, *record.notes])


def _draw_sheet(
    scores: TileScores, coords: npt.NDArray[np.int32], record: ScoreRecord, pixels: SlidePixels,
    scale: ColourScale, top: int,
) -> Picture:  # fmt: skip
    highest, lowest = choose_extremes(scores.score, top)
    colours = scale.colour(scores.score)
    decimals = 2 if scale.high - scale.low > 0.5 else 4

    def show(tile: int) -> SheetTile:
        red, green, blue = colours[tile].tolist()
        colour: Colour = (red, green, blue)
        x, y = coords[tile].tolist()
        number = f"{scores.score[tile]:+.{decimals}f}"
        return SheetTile(pixels.tiles.get(tile), number, f"tile {tile} at {x}, {y}", colour)

    parts = [
        SheetRows(f"highest {record.target}", [show(tile) for tile in highest]),
        SheetRows(f"lowest {record.target}", [show(tile) for tile in lowest]),
    ]
    title = f"{record.target} on {record.slide_id}" + (" (synthetic)" if record.synthetic else "")
    missing = f"  ·  no pixels: {pixels.problem}" if pixels.problem else ""
    return draw_tile_sheet(
        parts, title, f"{record.scale}  ·  {describe_heads(record)}{missing}", COLUMNS
    )
