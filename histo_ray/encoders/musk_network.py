"""MUSK's network, once its package has registered it with timm."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.hub import fetch_weights
from histo_ray.encoders.lean_timm import timm
from histo_ray.encoders.network_ends import Normaliser, fit_tiles
from histo_ray.encoders.weights import digest_weights, load_whole, read_weights

NETWORK = "musk_large_patch16_384"
HALF = (0.5, 0.5, 0.5)
_timm: Any = timm


class LoadedMusk(NamedTuple):
    """The network on its device."""

    network: Any
    spec: EncoderSpec
    digest: str
    device: torch.device
    normalise: Normaliser

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode (N, height, width, 3) into (N, 1024)."""
        with torch.inference_mode():
            values = torch.tensor(pixels).to(self.device).permute(0, 3, 1, 2).float()
            seen = self.normalise(fit_tiles(values, self.spec))
            vectors = self.network(image=seen, with_head=False, out_norm=False, ms_aug=False)[0]
            found: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
        return found


def build_musk(hub: str, device: str, threads: int) -> LoadedMusk:
    """Build the network, and fit the weights of a repository to it.

    Raises:
        ConfigError: The weights cannot be had, or do not fit.
    """
    torch.set_num_threads(threads)
    network = _timm.create_model(NETWORK).eval().requires_grad_(False)
    weights = read_weights(fetch_weights(hub, "musk"), "musk")
    load_whole(network, weights, f"encoder 'musk': the file of {hub}")
    place = torch.device(device)
    spec = EncoderSpec.model_validate(
        {
            "name": "musk", "request": "musk", "source": "plugin", "architecture": NETWORK,
            "input_px": 384, "mean": HALF, "std": HALF, "interpolation": "bicubic",
        }
    )  # fmt: skip
    return LoadedMusk(
        network.to(place), spec, digest_weights(weights), place, Normaliser(spec, place)
    )
