"""Tiles of made-up slides, each with a stain of its own: the true groups are known."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

STAINS = np.array([[0.65, 0.70, 0.29], [0.27, 0.80, 0.53]])
"""Haematoxylin and eosin, rows of optical density (R, G, B)."""


class MadeUpTiles(NamedTuple):
    """N tiles."""

    pixels: npt.NDArray[np.uint8]
    """(N, px, px, 3)."""
    labels: npt.NDArray[np.int32]
    slides: npt.NDArray[np.int64]


def draw_slides(
    slides: int, classes: int, each: int, *, seed: int = 0, spread: float = 1.0, px: int = 64
) -> MadeUpTiles:
    """Draw `each` tiles of every class from every slide.

    Args:
        slides: Slides, whose stains are drawn around those of H&E.
        classes: Classes, which differ in size and number of nuclei.
        each: Tiles of a class on a slide.
        seed: Of everything.
        spread: How much the stains of slides differ; 1: as scanners and laboratories do.
        px: Edge of a tile.
    """
    rng = np.random.default_rng(seed)
    pixels, labels, origin = [], [], []
    for slide in range(slides):
        matrix = np.abs(STAINS + spread * rng.normal(0, 0.08, STAINS.shape))
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        amounts = np.exp(spread * rng.normal(0, 0.25, 2))
        light = 245 - spread * rng.uniform(0, 12, 3)
        for label in range(classes):
            for _ in range(each):
                tissue = _draw_tissue(rng, label, px) * amounts
                noisy = light * np.exp(-tissue @ matrix) + rng.normal(0, 2, (px, px, 3))
                pixels.append(np.clip(noisy, 0, 255).astype(np.uint8))
                labels.append(label)
                origin.append(slide)
    return MadeUpTiles(np.array(pixels), np.array(labels, np.int32), np.array(origin))


def _draw_tissue(rng: np.random.Generator, label: int, px: int) -> npt.NDArray[np.float64]:
    """(px, px, 2) amounts of both stains."""
    drawn = np.zeros((px, px), np.float32)
    for x, y in rng.integers(0, px, (8 + 6 * label, 2)).tolist():
        cv2.circle(drawn, (x, y), 2 + label, 1.0, -1)
    nuclei = cv2.GaussianBlur(drawn, (0, 0), 0.8)
    fibres = cv2.GaussianBlur(rng.normal(0, 1, (px, px)).astype(np.float32), (0, 0), 3)
    eosin = np.clip(0.45 + 1.2 * fibres, 0, None)
    return np.stack([1.3 * nuclei + 0.05, eosin * (1 - 0.6 * nuclei)], axis=-1).astype(float)
