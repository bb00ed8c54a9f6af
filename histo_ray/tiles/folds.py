"""How many layers of a slide's tissue tiles look like: folds have two or more. Pure.

Where a section lies folded, light passes tissue twice, and optical densities add (Beer and
Lambert). Bautista and Yagi (J Pathol Inform 2010, 1:25) find folds as what is more saturated and
darker than the rest of the slide, and Kothari et al. (J Pathol Inform 2013, 4:22) by thresholds of
that difference relative to the slide. Both are functions of density, which is measured here as
such. Tissue of many nuclei is denser than stroma, so a ratio of 2 says that a tile is as dense as
two layers of the slide's usual tissue, not that it is folded: docs/quality.md has the rates.
"""

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


def measure_folds(
    density: Density,
    mpp: tuple[float, float],
    tissue: Mask,
    downsample: tuple[float, float],
    coords: npt.NDArray[np.int32],
    side: tuple[float, float],
) -> npt.NDArray[np.float32]:
    """Density of the darkest tenth of each tile over the median density of the slide's tissue.

    Args:
        density: (h, w) mean optical density of an overview.
        mpp: (x, y) microns per px of it.
        tissue: (h, w) bool, without pen marks.
        downsample: (x, y) level-0 px per px.
        coords: (N, 2) top-left (x, y) of the tiles, level-0 px.
        side: (width, height) of a tile, level-0 px.

    Returns:
        (N,) float32; nan throughout where the slide has no tissue.
    """
    if not tissue.any():
        return np.full(len(coords), np.nan, np.float32)
    sigma_x, sigma_y = (max(0.5, _SMOOTHING_UM / axis) for axis in mpp)
    density = np.asarray(cv2.GaussianBlur(density, (0, 0), sigma_x, sigmaY=sigma_y), np.float32)
    usual = max(float(np.median(density[tissue])), _LEAST_DENSITY)
    height, width = tissue.shape
    low = np.floor(coords / np.asarray(downsample)).astype(np.int64)
    high = np.ceil((coords + np.asarray(side)) / np.asarray(downsample)).astype(np.int64)
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
