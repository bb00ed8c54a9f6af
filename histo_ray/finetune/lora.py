"""Adapters of low rank beside a network's own weights, while it is trained. peft does the work."""

import re

import torch
from torch import nn

from histo_ray.deferred import deferred
from histo_ray.encoders.adapters import DOWN, UP
from histo_ray.encoders.weights import Weights
from histo_ray.errors import ConfigError
from histo_ray.finetune.recipe import NetworkConfig

_NAME = "default"
"""peft's name of the one adapter that a layer gets."""
_inject = deferred("peft:inject_adapter_in_model")
_lora_config = deferred("peft:LoraConfig")


def add_adapters(network: nn.Module, config: NetworkConfig, seed: int) -> None:
    """Put adapters beside the layers that `config` names; they change nothing until trained.

    Args:
        network: Changed in place: the weights of these layers get other names.
        config: Rank, factor and names of layers.
        seed: Of A; B is all zeros.

    Raises:
        ConfigError: peft is not installed, or the network has no such layers.
    """
    named = "|".join(map(re.escape, config.lora_layers))
    pattern = re.compile(rf"(.*\.)?({named})")
    found = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and pattern.fullmatch(name)
    ]
    if not found:
        kinds = sorted({n.rpartition(".")[2] for n, m in network.named_modules() if _is_linear(m)})
        there = f"its linear layers are called {', '.join(kinds)}" if kinds else "it has none"
        raise ConfigError(
            f"recipe: network.lora_layers = {', '.join(config.lora_layers)}: the network has no "
            f"linear layer of such a name ({there}); name others, or leave lora_rank out"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            _inject(
                _lora_config(
                    r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=found,
                    lora_dropout=0.0, bias="none",
                ),
                network,
            )  # fmt: skip
        except ModuleNotFoundError:
            raise ConfigError(
                "recipe: network.lora_rank needs the package peft, which is not installed; install "
                "the extra: pip install 'histo-ray[lora]'"
            ) from None


def has_adapters(network: nn.Module) -> bool:
    """Whether `add_adapters` was called with the network."""
    return any(".lora_A." in name for name, _ in network.named_parameters())


def freeze_base(network: nn.Module) -> None:
    """Let the adapters be trained, and nothing else of the network."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(".lora_" in name)


def take_adapters(weights: Weights) -> Weights:
    """Take the adapters out of the weights of a network, under the names of `merge_adapters`."""
    ends = {f".lora_A.{_NAME}.weight": DOWN, f".lora_B.{_NAME}.weight": UP}
    return {
        name.removesuffix(end) + other: value
        for name, value in weights.items()
        for end, other in ends.items()
        if name.endswith(end)
    }


def take_base(weights: Weights) -> Weights:
    """Take a network's own weights, under their own names, out of those with adapters."""
    return {
        name.replace(".base_layer.", "."): value
        for name, value in weights.items()
        if ".lora_" not in name
    }


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
