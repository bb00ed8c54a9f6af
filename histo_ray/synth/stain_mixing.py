"""Stains mixed in optical density (Beer-Lambert). Pure."""

import numpy as np

from histo_ray.synth.noise import Field
from histo_ray.synth.tissue_looks import TissueLook

HAEMATOXYLIN = {"macenko": (0.5626, 0.7201, 0.4062), "ruifrok": (0.650, 0.704, 0.286)}
EOSIN = {"macenko": (0.2159, 0.8012, 0.5581), "ruifrok": (0.072, 0.990, 0.105)}
"""(R, G, B) absorption. Macenko et al., ISBI 2009, the reference of its usual implementations;
Ruifrok and Johnston, Anal Quant Cytol Histol 2001."""
GLASS = np.array([243, 243, 244], np.float32)
"""RGB of the empty slide."""


def stain_matrix(look: TissueLook) -> Field:
    """(2, 3) unit vectors of haematoxylin and eosin, tinted as `look` asks."""
    vectors = []
    for source, tint in ((HAEMATOXYLIN, look.haematoxylin_tint), (EOSIN, look.eosin_tint)):
        vector = np.array(source["macenko"]) * (1 - tint) + np.array(source["ruifrok"]) * tint
        vectors.append(vector / np.linalg.norm(vector))
    return np.array(vectors, np.float32)


def mix_stains(haematoxylin: Field, eosin: Field, vectors: Field) -> Field:
    """Light that comes through the stained slide: `GLASS * 10 ** -(amounts @ vectors)`.

    Args:
        haematoxylin: (height, width) amount, optical density to base 10.
        eosin: The same for eosin.
        vectors: (2, 3) from `stain_matrix`.

    Returns:
        (height, width, 3) float32 RGB, 0..255.
    """
    natural = vectors * np.float32(-np.log(10))
    light = np.empty((*haematoxylin.shape, 3), np.float32)
    for channel in range(3):
        density = haematoxylin * natural[0, channel] + eosin * natural[1, channel]
        light[..., channel] = np.exp(density) * GLASS[channel]
    return light
