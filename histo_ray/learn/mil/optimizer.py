"""AdamW without what torch's own class loads first."""

from collections.abc import Iterable

import torch
from torch.optim.adamw import adamw

from histo_ray.learn.mil.mil_settings import MilSettings


class AdamW:
    """Loshchilov and Hutter 2019, Decoupled weight decay regularization, ICLR; by torch's function.

    `torch.optim.AdamW` loads the compiler when it is made, which takes seconds, as long as a small
    head is trained, in every process of a search.
    """

    def __init__(self, weights: Iterable[torch.nn.Parameter], settings: MilSettings) -> None:
        """Start with no momentum."""
        self._weights: list[torch.Tensor] = list(weights)
        self._settings = settings
        self._averages = [torch.zeros_like(weight) for weight in self._weights]
        self._squares = [torch.zeros_like(weight) for weight in self._weights]
        self._steps = [torch.zeros(()) for _ in self._weights]

    @torch.no_grad()
    def step(self, loss: torch.Tensor) -> None:
        """Move all weights against the gradient of `loss`."""
        gradients = torch.autograd.grad(loss, self._weights)
        adamw(
            self._weights, list(gradients), self._averages, self._squares, [], self._steps,
            foreach=False, amsgrad=False, beta1=0.9, beta2=0.999, lr=self._settings.rate,
            weight_decay=self._settings.weight_decay, eps=1e-8, maximize=False,
        )  # fmt: skip
