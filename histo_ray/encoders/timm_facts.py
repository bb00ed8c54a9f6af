"""What timm states of a network, for a look at it: nothing is fetched, and no weights are made."""

import torch

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.complete import complete_spec
from histo_ray.encoders.timm_network import create_network
from histo_ray.types import JsonObject


def state_timm_facts(spec: EncoderSpec) -> EncoderSpec:
    """Set what a spec of a timm network leaves open, as loading it would.

    Args:
        spec: As `resolve` gives it, with a network that timm builds without a repository.

    Returns:
        The spec with input_px, mean, std, interpolation, dim and, where timm knows one, licence.

    Raises:
        ConfigError: timm cannot build it, or it takes no square RGB tile.
    """
    with torch.device("meta"):  # shapes without numbers
        network = create_network(spec, spec.timm_kwargs)
    facts: JsonObject = getattr(network, "pretrained_cfg", None) or {}
    complete = complete_spec(spec, facts, spec.timm_kwargs, from_hub=False)
    features = getattr(network, "num_features", None)
    update: JsonObject = {}
    if spec.dim is None and isinstance(features, int):
        update["dim"] = features * (2 if spec.pool == "cls+mean" else 1)
    if not spec.licence and spec.source == "timm":
        update["licence"] = facts.get("license") or ""
    return complete.model_copy(update=update)
