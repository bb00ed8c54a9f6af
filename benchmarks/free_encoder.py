"""An encoder that costs nothing: it looks at 64 px of a tile, as that of `peers.drive` does.

It is a plugin like any user's, so a run with `FREE` is the product's own in everything.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from histo_ray.encoders.plugin_protocol import PluginSpec

FREE = "benchmarks.free_encoder:FreeEncoder"
TILE_PX, STEP = 224, 28
DIM = (TILE_PX // STEP) ** 2 * 3


class FreeEncoder:
    """No network."""

    def spec(self) -> PluginSpec:
        """What it is."""
        return PluginSpec(
            dim=DIM,
            input_px=TILE_PX,
            tile_px=TILE_PX,
            licence="mit",
            weights_sha256=hashlib.sha256(b"none").hexdigest(),
            preprocessing="every 28th pixel of every 28th row",
            about="Costs nothing; for benchmarks",
        )

    def load(self, device: str, threads: int) -> None:
        """Nothing to load."""

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(B, 224, 224, 3) to (B, 192)."""
        return pixels[:, ::STEP, ::STEP].reshape(len(pixels), DIM).astype(np.float32)
