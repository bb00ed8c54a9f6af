"""Heat map of a drawn slide beside what was drawn: outlines of the planted crowds."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.report.charts.canvas import Picture, blank, paste
from histo_ray.report.charts.colour_scale import fit_scale
from histo_ray.report.slides.heatmap import draw_tile_heatmap
from histo_ray.report.slides.preview import framed
from histo_ray.report.slides.slide_pixels import SlidePixels
from histo_ray.tiles.polygons import parse_geojson
from histo_ray.types import TileGrid

_OUTLINE_RGB = (20, 60, 255)
_OUTLINE_PX = 3


def draw_beside_truth(
    pixels: SlidePixels,
    grid: TileGrid,
    scores: npt.NDArray[np.float64],
    crowds: Path,
    title: str,
    label: str,
    note: str,
) -> Picture:
    """Draw the slide with the outlines of its planted crowds, and the scores of its tiles below.

    Args:
        pixels: Of the slide.
        grid: Its N tiles.
        scores: (N,) of the tiles.
        crowds: GeoJSON of the outlines, level-0 px.
        title: Of the scores.
        label: What a score is.
        note: What else to know of the scores.

    Returns:
        (height, width, 3) RGB.
    """
    drawn = pixels.overview.copy()
    for polygon in parse_geojson(crowds.read_bytes()):
        for ring in polygon:
            corners = np.round(np.asarray(ring) / pixels.downsample).astype(np.int32)
            cv2.polylines(drawn, [corners], True, _OUTLINE_RGB, _OUTLINE_PX, cv2.LINE_AA)
    truth = framed(
        drawn,
        "Drawn: crowds of lymphocytes (synthetic)",
        "blue: outlines of what was planted on this slide and drives the target; no patient's "
        "tissue, and nothing of it was shown to the predictor",
    )
    heat = draw_tile_heatmap(
        pixels.overview, pixels.downsample, grid, scores, label, title, fit_scale(scores), note
    )
    page = blank(truth.shape[1] + heat.shape[1], max(truth.shape[0], heat.shape[0]))
    paste(page, truth, (0, 0))
    paste(page, heat, (truth.shape[1], 0))
    return page
