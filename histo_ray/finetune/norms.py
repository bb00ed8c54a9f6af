"""Modes and statistics of batch norms while the rest is trained."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""timm's BatchNormAct2d is one of them."""
LEAST_VARIANCE = 1e-6
"""A channel that never changes gets this variance."""


def set_mode(network: nn.Module, training: bool, frozen_norms: bool) -> None:
    """Set train or eval mode; frozen batch norms stay in eval mode."""
    network.train(training)
    if training and frozen_norms:
        for module in network.modules():
            if isinstance(module, NORMS):
                module.eval()


def recalibrate(network: nn.Module, batches: Iterable[torch.Tensor]) -> int:
    """Give each batch norm the true statistics of its input, and keep what it computes.

    Weights whose batch norms were folded into convolutions come with batch norms that normalise
    nothing. Here mean and variance are measured in one pass, in eval mode; weight and bias are
    scaled so that the output in eval mode stays the same.

    Args:
        network: Changed in place; left in eval mode.
        batches: (B, 3, H, W) each, normalised, on the device of the network.

    Returns:
        Batch norms that were changed.
    """
    network.eval()
    norms = [m for m in network.modules() if isinstance(m, NORMS) and m.affine]
    sums = {norm: _Moments() for norm in norms}
    hooks = [norm.register_forward_pre_hook(lambda m, x: sums[m].add(x[0])) for norm in norms]
    try:
        with torch.no_grad():
            for batch in batches:
                network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    with torch.no_grad():
        for norm, moments in sums.items():
            if moments.count:
                _reparametrise(norm, *moments.result())
    return sum(moments.count > 0 for moments in sums.values())


def measure_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Measure the running statistics of all batch norms anew; weights and biases stay.

    For weights between two trained ones, whose statistics are not those of what they compute: as
    for averaged weights (Izmailov et al. 2018, arXiv 1803.05407, section 3.2).

    Args:
        network: Changed in place; left in eval mode.
        batches: (B, 3, H, W) each, normalised, on the device of the network.
    """
    network.eval()
    set_norms = [m for m in network.modules() if isinstance(m, NORMS)]
    momenta = [norm.momentum for norm in set_norms]
    for norm in set_norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all batches
    try:
        with torch.no_grad():
            for batch in batches:
                network(batch)
    finally:
        for norm, momentum in zip(set_norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


class _Moments:
    """Mean and variance of each channel, over many batches, in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, values: torch.Tensor) -> None:
        channels = values.detach().double().transpose(0, 1).flatten(1)
        self.count += channels.shape[1]
        self._sum = self._sum.to(values.device) + channels.sum(1)
        self._squares = self._squares.to(values.device) + channels.square().sum(1)

    def result(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self._sum / self.count
        return mean, (self._squares / self.count - mean.square()).clamp_min(LEAST_VARIANCE)


def _reparametrise(norm: Any, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """The same affine function of its input, written around another mean and variance."""
    slope = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    offset = norm.bias.double() - slope * norm.running_mean.double()
    norm.weight.copy_(slope * (variance + norm.eps).sqrt())
    norm.bias.copy_(offset + slope * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
