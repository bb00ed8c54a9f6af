"""The networks of CONCH and CONCH v1.5: a vision transformer whose tokens a trained query pools."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.conch import Tower
from histo_ray.encoders.hub import fetch_file
from histo_ray.encoders.lean_timm import timm
from histo_ray.encoders.network_ends import Normaliser, fit_tiles
from histo_ray.encoders.weights import Weights, digest_weights, load_whole, read_weights

HEADS = 8
"""Heads of the query's attention."""
_timm: Any = timm


class AttentionPooler(nn.Module):
    """A trained query that attends to all tokens, by torch's attention (CONCH)."""

    def __init__(self, dim: int, context: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, dim))
        self.attn = nn.MultiheadAttention(dim, HEADS, kdim=context, vdim=context, batch_first=True)
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(context)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, tokens, context) to (B, dim)."""
        known = self.ln_k(tokens)
        asked = self.ln_q(self.query).expand(len(tokens), -1, -1)
        found: torch.Tensor = self.attn(asked, known, known, need_weights=False)[0]
        return found[:, 0]


class LinearPooler(nn.Module):
    """The same by three linear layers without biases (CONCH v1.5)."""

    def __init__(self, dim: int, context: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, dim))
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(context)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(context, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, tokens, context) to (B, dim)."""
        asked = self.to_q(self.ln_q(self.query)).expand(len(tokens), -1, -1)
        keys, values = self.to_kv(self.ln_k(tokens)).chunk(2, -1)
        heads = [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (asked, keys, values)]
        found = functional.scaled_dot_product_attention(*heads)
        pooled: torch.Tensor = self.to_out(found.transpose(1, 2).flatten(2))
        return pooled[:, 0]


class ConchTower(nn.Module):
    """Trunk, pooler and a last normalisation; names are those of the published weights."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        scale = {} if tower.init_values is None else {"init_values": tower.init_values}
        self.trunk: Any = _timm.create_model(
            tower.trunk, pretrained=False, num_classes=0, img_size=tower.input_px, **scale
        )
        kind = AttentionPooler if tower.pooler == "attention" else LinearPooler
        self.attn_pool_contrast = kind(tower.dim, self.trunk.num_features)
        self.ln_contrast = nn.LayerNorm(tower.dim)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 3, input_px, input_px) normalised pixels to (B, dim)."""
        tokens = self.trunk.forward_features(values)
        vectors: torch.Tensor = self.ln_contrast(self.attn_pool_contrast(tokens))
        return vectors


class LoadedTower(NamedTuple):
    """A tower on its device."""

    network: ConchTower
    spec: EncoderSpec
    digest: str
    """SHA-256 of the weights, as published."""
    device: torch.device
    normalise: Normaliser

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode (N, height, width, 3) into (N, dim)."""
        with torch.inference_mode():
            values = torch.tensor(pixels).to(self.device).permute(0, 3, 1, 2).float()
            vectors = self.network(self.normalise(fit_tiles(values, self.spec)))
            found: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
        return found


def load_tower(tower: Tower, device: str, threads: int) -> LoadedTower:
    """Fetch the weights of a tower, and build it around them.

    Args:
        tower: Which.
        device: `cpu` or `cuda`.
        threads: CPU threads of torch.

    Raises:
        ConfigError: The weights cannot be had, or do not fit.
    """
    torch.set_num_threads(threads)
    weights = _select(
        read_weights(fetch_file(tower.hub, tower.file, tower.name), tower.name), tower
    )
    digest = digest_weights(weights)
    with torch.device("meta"):  # all numbers come from the weights
        network = ConchTower(tower)
    origin = f"encoder {tower.name!r}: {tower.file} of {tower.hub}"
    load_whole(network, _enlarge_positions(weights, network), origin)
    place = torch.device(device)
    spec = EncoderSpec.model_validate(
        {
            "name": tower.name, "request": tower.name, "source": "plugin",
            "architecture": tower.trunk, "input_px": tower.input_px, "mean": tower.mean,
            "std": tower.std, "interpolation": tower.interpolation,
        }
    )  # fmt: skip
    network = network.eval().requires_grad_(False).to(place)
    return LoadedTower(network, spec, digest, place, Normaliser(spec, place))


def _select(weights: Weights, tower: Tower) -> Weights:
    """Weights of the tower's three parts, by their own names."""
    plain = {name.removeprefix("module.").removeprefix(tower.prefix): value
             for name, value in weights.items()
             if name.removeprefix("module.").startswith(tower.prefix)}  # fmt: skip
    parts = ("trunk.", "attn_pool_contrast.", "ln_contrast.")
    return {name: value.float() for name, value in plain.items() if name.startswith(parts)}


def _enlarge_positions(weights: Weights, network: ConchTower) -> Weights:
    """Weights whose position embedding fits the network's grid.

    A smaller one is enlarged as the authors' code does: bicubic, by a scale of (grid + 0.1) / old
    (DINO's interpolate_pos_encoding).
    """
    name = "trunk.pos_embed"
    grid = network.trunk.patch_embed.grid_size[0]
    found = weights.get(name)
    if found is None or found.ndim != 3:
        return weights
    old = math.isqrt(found.shape[1] - 1)
    if old in (0, grid) or old * old != found.shape[1] - 1:
        return weights
    squares = found[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    scale = (grid + 0.1) / old
    larger = functional.interpolate(squares, scale_factor=(scale, scale), mode="bicubic")
    fitted = torch.cat([found[:, :1], larger.permute(0, 2, 3, 1).flatten(1, 2)], 1)
    return weights | {name: fitted}
