"""A Python package that brings an encoder, as pip would leave it: what users write themselves."""

from pathlib import Path

SOURCE = '''\
"""An encoder of 96 px tiles: colours of the quarters of a tile, mixed by fixed weights."""

import hashlib

import numpy as np

from histo_ray.encoders.plugin_protocol import PluginSpec


class Quarters:
    """Means and deviations of the four quarters of a tile, (24,), and a linear layer."""

    def __init__(self):
        self.weights = None

    def spec(self):
        """State what the encoder is."""
        found = None
        if self.weights is not None:
            found = hashlib.sha256(self.weights.tobytes()).hexdigest()
        return PluginSpec(
            dim=20, input_px=96, tile_px=96, mpp=0.5, licence="mit", weights_sha256=found,
            preprocessing="optical density of each channel, clipped at 2", about="Quarters",
        )

    def load(self, device, threads):
        """Draw the weights."""
        self.weights = np.random.default_rng(SEED).normal(size=(24, 20)).astype(np.float32)

    def encode(self, pixels):
        """(N, 96, 96, 3) uint8 to (N, 20)."""
        count, height, width, _ = pixels.shape
        density = np.minimum(-np.log10((pixels + 1.0) / 256), 2)
        parts = density.reshape(count, 2, height // 2, 2, width // 2, 3)
        seen = np.concatenate([parts.mean((2, 4)), parts.std((2, 4))], -1)
        return seen.reshape(count, 24).astype(np.float32) @ self.weights


def make_encoder():
    """What the entry point names."""
    return Quarters()
'''
"""Source of the package's module; SEED stands for a number."""


def write_module(folder: Path, name: str, seed: int = 0) -> Path:
    """The module alone; its file."""
    file = folder / f"{name}.py"
    file.write_text(SOURCE.replace("SEED", str(seed)), encoding="utf-8")
    return file


def write_package(folder: Path, encoder: str, module: str = "quarters_plugin") -> Path:
    """The module and its metadata in a folder for `PYTHONPATH`; the entry point is `encoder`."""
    about = folder / f"{module}-3.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 3.1\n")
    points = f"[histo_ray.encoders]\n{encoder} = {module}:make_encoder\n"
    (about / "entry_points.txt").write_text(points)
    write_module(folder, module)
    return folder
