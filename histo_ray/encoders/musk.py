"""MUSK, by its authors' package: an encoder plugin of ours. No torch until it is loaded.

Its network is BEiT-3 of torchscale, which timm does not have; the package `musk` registers it
there. Weights are read by our own reader, and fit whole or not at all.
"""

import importlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from histo_ray.deferred import deferred
from histo_ray.encoders.plugin_protocol import PluginSpec

_build_musk = deferred("histo_ray.encoders.musk_network:build_musk")  # torch takes seconds
HUB = "xiangjx/musk"
_TRIDENT = "https://github.com/mahmoodlab/TRIDENT/blob/0120b8b/trident/patch_encoder_models/load.py"


class MuskEncoder:
    """The class token of the image side, neither projected nor normalised."""

    def __init__(self) -> None:
        self._loaded: Any = None

    def spec(self) -> PluginSpec:
        """State what the encoder is."""
        return PluginSpec(
            dim=1024,
            input_px=384,
            tile_px=384,
            mpp=(0.25, 0.5, 1.0),
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            preprocessing="resized whole to 384 px (bicubic); nothing is cropped",
            licence="cc-by-nc-nd-4.0",
            gated=True,
            weights_sha256=None if self._loaded is None else self._loaded.digest,
            about="MUSK, BEiT-3 large trained with texts; needs the authors' package musk "
            "(pip install git+https://github.com/lilab-stanford/MUSK)",
            sources={
                "network, dim, pool, normalisation, filter, resize": _TRIDENT,
                "mpp": "https://github.com/clemsgrs/slide2vec (encoders/models/musk.py)",
                "tile px, gate": "https://github.com/mahmoodlab/TRIDENT/blob/0120b8b/README.md",
                "licence": "https://github.com/lilab-stanford/MUSK (README.md)",
            },
        )

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Build the network by the package `musk`, and fetch its weights.

        Raises:
            ModuleNotFoundError: The package is not installed.
            ConfigError: The weights cannot be had, or do not fit.
        """
        importlib.import_module("musk.modeling")  # registers the network with timm
        self._loaded = _build_musk(HUB, device, threads)

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode (N, height, width, 3) into (N, 1024)."""
        if self._loaded is None:
            raise RuntimeError("musk is not loaded")
        vectors: npt.NDArray[np.float32] = self._loaded.encode(pixels)
        return vectors


make_musk = MuskEncoder
