"""Which layers are trained, and how fast: timm's own groups."""

from typing import Any

from histo_ray.encoders.lean_timm import timm
from histo_ray.finetune.classifier import Classifier
from histo_ray.finetune.lora import freeze_base, has_adapters
from histo_ray.finetune.recipe import NetworkConfig

_models: Any = timm.models


def choose_layers(classifier: Classifier, stages: int | None) -> int:
    """Let the head and the topmost stages be trained, and nothing else.

    Args:
        classifier: Changed: `requires_grad` of all its parameters.
        stages: How many of timm's coarse groups of layers, from the top; None: all. Of a network
            with adapters these alone are trained.

    Returns:
        How many of the network's parameters are trained.
    """
    network = classifier.network
    classifier.requires_grad_(True)
    if has_adapters(network):
        freeze_base(network)
    elif stages is not None and hasattr(network, "group_matcher"):
        groups: dict[int, list[str]] = _models.group_parameters(
            network, network.group_matcher(coarse=True)
        )
        parameters = dict(network.named_parameters())
        for group in sorted(groups)[: max(0, len(groups) - stages)]:
            for name in groups[group]:
                parameters[name].requires_grad_(False)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def group_layers(classifier: Classifier, config: NetworkConfig) -> list[dict[str, Any]]:
    """Groups for an optimiser: the rate falls from layer to layer downwards.

    Args:
        classifier: After `choose_layers`.
        config: Rates and weight decay; vectors (biases, norms) are never decayed.

    Returns:
        Dicts with `params`, `lr_scale`, `lr` and `weight_decay`; the head's come last.
    """
    import timm.optim  # loads torch's compiler, as training does

    optim: Any = timm.optim
    network = classifier.network
    skipped = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    groups: list[dict[str, Any]] = optim.param_groups_layer_decay(
        network,
        weight_decay=config.weight_decay,
        no_weight_decay_list=skipped,
        layer_decay=config.layer_decay,
    )
    head = classifier.head
    groups += [
        {"params": [head.weight], "weight_decay": config.weight_decay, "lr_scale": 1.0},
        {"params": [head.bias], "weight_decay": 0.0, "lr_scale": 1.0},
    ]
    for group in groups:
        group["lr"] = config.rate * group["lr_scale"]
    return groups
