"""The stain space of augmentation: Ruifrok and Johnston 2001 (Anal Quant Cytol Histol 23:291)."""

import numpy as np
import torch

_RUIFROK = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS = _RUIFROK / np.linalg.norm(_RUIFROK, axis=1, keepdims=True)
"""(3, 3): optical density in red, green and blue (columns) of each stain (rows): haematoxylin,
eosin, DAB as the third axis."""
WHITE = 256.0
"""Optical density is -ln((value + 1) / WHITE): finite for black, 0 for 255."""
LEAST_DENSITY = 0.15
"""Mean optical density of red, green and blue from which on a pixel counts as stained."""


def optical_density(values: torch.Tensor) -> torch.Tensor:
    """Optical density of values in 0..255, natural logarithm."""
    return -torch.log((values + 1) / WHITE)
