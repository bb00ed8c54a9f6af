"""How many layers of a slide's tissue tiles look like: folds have two or more. Pure.

Where a section lies folded, light passes tissue twice, and optical densities add (Beer and
Lambert). Bautista and Yagi (J Pathol Inform 2010, 1:25) find folds as what is more saturated and
darker than the rest of the slide, and Kothari et al. (J Pathol Inform 2013, 4:22) by thresholds of
that difference relative to the slide. Both are functions of density, which is measured here as
such. Tissue of many nuclei is denser than stroma, so a ratio of 2 says that a tile is as dense as
two layers of the slide's usual tissue, not that it is folded: docs/quality.md has the rates.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Density = npt.NDArray[np.float32]

DARKEST = 0.9
"""Quantile of a tile's density: a fold seldom fills a tile."""
_SMOOTHING_UM = 8.0
_LEAST_DENSITY = 0.05
"""Of the usual tissue: fainter sections are compared with this."""


class DensityMap(NamedTuple):
    """Optical densities of a slide."""

    density: Density
    """(h, w) mean over red, green and blue."""
    mpp: tuple[float, float]
    """(x, y) microns per px of it."""
    downsample: tuple[float, float]
    """(x, y) level-0 px per px of it."""


def measure_folds(
    seen: DensityMap,
    tissue: Mask,
    coords: npt.NDArray[np.int32],
    side: tuple[float, float],
) -> npt.NDArray[np.float32]:
    """Density of the darkest tenth of each tile over the median density of the slide's tissue.

    Args:
        seen: Of an overview.
        tissue: (h, w) bool, without pen marks.
        coords: (N, 2) top-left (x, y) of the tiles, level-0 px.
        side: (width, height) of a tile, level-0 px.

    Returns:
        (N,) float32; nan throughout where the slide has no tissue.
    """
    if not tissue.any():
        return np.full(len(coords), np.nan, np.float32)
    sigma_x, sigma_y = (max(0.5, _SMOOTHING_UM / axis) for axis in seen.mpp)
    density = np.asarray(
        cv2.GaussianBlur(seen.density, (0, 0), sigma_x, sigmaY=sigma_y), np.float32
    )
    usual = max(float(np.median(density[tissue])), _LEAST_DENSITY)
    height, width = tissue.shape
    low = np.floor(coords / np.asarray(seen.downsample)).astype(np.int64)
    high = np.ceil((coords + np.asarray(side)) / np.asarray(seen.downsample)).astype(np.int64)
    low = np.clip(low, 0, [width - 1, height - 1])
    high = np.maximum(np.minimum(high, [width, height]), low + 1)
    folds = np.empty(len(coords), np.float32)
    for index, ((left, top), (right, bottom)) in enumerate(
        zip(low.tolist(), high.tolist(), strict=True)
    ):
        values = density[top:bottom, left:right].ravel()
        rank = int(DARKEST * (values.size - 1))
        folds[index] = np.partition(values, rank)[rank]
    return folds / np.float32(usual)
