"""Weights held in half precision, for networks that run under autocast."""

from typing import Any

import torch
from torch import nn

from histo_ray.encoders.lean_timm import timm

_timm: Any = timm.layers
_LAYERS = (nn.Conv2d, nn.Linear, _timm.Conv2dSame)


def hold_in_half(network: nn.Module, dtype: torch.dtype) -> int:
    """Convert, in place, the weights that autocast would convert for every batch.

    Only plain convolutions and linear layers: autocast rounds their weights to `dtype` in the same
    way, so vectors keep their bits, and the weights take half the memory. Norms, embeddings and
    layers that compute their weights keep float32.

    Args:
        network: In eval mode; to be run under autocast of `dtype`.
        dtype: float16 or bfloat16.

    Returns:
        How many layers were converted.
    """
    count = 0
    for layer in network.modules():
        if type(layer) in _LAYERS and not nn.utils.parametrize.is_parametrized(layer):
            layer.to(dtype)
            count += 1
    return count
