"""Adapters of low rank (LoRA), merged into the weights that they were trained beside.

Hu et al. 2021, "LoRA: Low-rank adaptation of large language models" (arXiv 2106.09685): a layer's
weight W becomes W + scale * B A, with A (rank, in) and B (out, rank). Merged, the network costs
what its base costs, and every layer is of the kind that it was.
"""

from collections.abc import Mapping

import torch

from histo_ray.encoders.weights import Weights
from histo_ray.errors import ConfigError

DOWN, UP = ".lora_A.weight", ".lora_B.weight"
"""Ends of the names of A and B; what stands before is the name of the layer."""


def merge_adapters(base: Mapping[str, torch.Tensor], adapters: Weights, scale: float) -> Weights:
    """Merge adapters into the weights of their base.

    The product is added up column by column in double precision, so that every machine gets the
    same bits: matrix products add in an order of their own.

    Args:
        base: Weights of the network.
        adapters: A and B of each layer.
        scale: Factor of their product.

    Returns:
        All weights of the network; those without an adapter are the tensors of `base`.

    Raises:
        ConfigError: An adapter without its other half, or for a layer that the base does not have.
    """
    merged = dict(base)
    layers = {name.removesuffix(end) for name in adapters for end in (DOWN, UP)} - set(adapters)
    for layer in sorted(layers):
        name = f"{layer}.weight"
        down, up = adapters.get(layer + DOWN), adapters.get(layer + UP)
        weight = base.get(name)
        if down is None or up is None or weight is None:
            raise ConfigError(f"the adapter of layer {layer} is not whole, or the base has no such")
        if weight.shape != (up.shape[0], down.shape[1]) or up.shape[1] != down.shape[0]:
            raise ConfigError(
                f"the adapter of layer {layer} has the shapes {tuple(up.shape)} and "
                f"{tuple(down.shape)}, and the base's weight {tuple(weight.shape)}"
            )
        total = torch.zeros(weight.shape, dtype=torch.float64)
        for one, other in zip(up.double().T, down.double(), strict=True):
            total += one[:, None] * other[None, :]
        merged[name] = (weight.double() + scale * total).to(weight.dtype)
    return merged
