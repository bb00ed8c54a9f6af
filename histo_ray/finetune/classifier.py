"""An encoder's network with a classifying head on its pooled features."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from histo_ray.encoders.base import EncoderSpec, Pool
from histo_ray.encoders.network_ends import REFUSALS, describe_size, encode_pooled
from histo_ray.encoders.timm_network import build_network


class Classifier(nn.Module):
    """Pixels to logits. `network` is what is published as an encoder."""

    def __init__(self, network: nn.Module, pool: Pool, dim: int, classes: int) -> None:
        """Take over `network`; the head is all zeros until step 1 has fitted it."""
        super().__init__()
        self.network: Any = network
        self.head = nn.Linear(dim, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._pool: Pool = pool

    def features(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) normalised pixels to (B, dim): the encoder's vectors."""
        return encode_pooled(self.network, self._pool, values)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) normalised pixels to (B, classes) logits."""
        logits: torch.Tensor = self.head(self.features(values))
        return logits


def build_classifier(spec: EncoderSpec, classes: Sequence[str]) -> tuple[Classifier, EncoderSpec]:
    """Load an encoder and put an empty head on it.

    Args:
        spec: From `resolve`.
        classes: Names of what the head shall tell apart.

    Returns:
        The classifier on CPU, and the spec with nothing left open.

    Raises:
        ConfigError: The weights cannot be had or do not fit, or the network does not run on tiles
            of the size that the encoder is asked for.
    """
    network, complete = build_network(spec)
    probe = Classifier(network, complete.pool, 1, 1)
    side = complete.input_px or 224
    try:
        with torch.inference_mode():
            dim = probe.features(torch.zeros(1, 3, side, side)).shape[1]
    except REFUSALS as error:
        raise describe_size(complete, side, error) from None
    complete = complete.model_copy(update={"dim": int(dim)})
    return Classifier(network, complete.pool, int(dim), len(classes)), complete
