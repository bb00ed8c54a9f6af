"""What a MIL network must offer, and what all of them share."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from histo_ray.learn.mil.mil_settings import MilSettings

BLOCK_VALUES = 1 << 23
"""Values of tiles that are on their way through the network at once outside training."""

Bag = npt.NDArray[np.floating]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""((B, T) outputs, (B, T) scaled labels, nan where there is none) -> mean loss."""


class MilNetwork(nn.Module, ABC):
    """Raw tile vectors of some bags to a logit, or a standardised value, for each target.

    The first layer standardises tiles by the training part and projects them to `hidden`; the last
    one is `answer`, linear. What lies between is the network's own. The order of the tiles of a bag
    bears on nothing.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    answer: nn.Linear

    def __init__(
        self, settings: MilSettings, mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64]
    ) -> None:
        """Draw the weights of the projection from torch's generator.

        Args:
            settings: Widths and dropout.
            mean: (D,) mean of the tiles that it will be trained on.
            sd: (D,) sd of the same; a feature that is constant there is ignored.
        """
        super().__init__()
        scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6 * np.abs(mean))
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        self.project = nn.Linear(len(mean), settings.hidden)
        self.dropout = settings.dropout

    @abstractmethod
    def forward(self, tiles: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
        """Outputs of several bags.

        Args:
            tiles: (B, N, D) raw, bags padded at their ends.
            missing: (B, N) true where a bag has no tile; None: nowhere.

        Returns:
            (B, T).
        """

    @abstractmethod
    def predict(self, bag: Bag) -> torch.Tensor:
        """Outputs of one bag of any size, its tiles read block by block.

        Args:
            bag: (N, D).

        Returns:
            (T,).
        """

    def training_loss(
        self, tiles: torch.Tensor, missing: torch.Tensor | None, labels: torch.Tensor, loss: Loss
    ) -> torch.Tensor:
        """Loss that a step of training lowers.

        Args:
            tiles: As for `forward`.
            missing: As for `forward`.
            labels: (B, T) scaled.
            loss: Of outputs; a network may add to it.
        """
        return loss(self(tiles, missing), labels)

    def attend(self, bag: Bag) -> torch.Tensor:
        """Attention of each tile of a bag, (N,) with sum 1; only if the registry says `attends`."""
        raise NotImplementedError

    def look_at(self, bag: Bag) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs of each tile of a bag as if it were alone, and their attention.

        Only if the registry says `attends`.

        Args:
            bag: (N, D).

        Returns:
            (N, T) outputs and (N,) attention, which sums to 1.
        """
        raise NotImplementedError

    def project_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """Standardise and project raw tiles, (..., D), to (..., hidden).

        Dropout takes the same projected values from all tiles of a bag.
        """
        weight = self.project.weight * self.scale  # standardises on the way
        bias = self.project.bias - weight @ self.mean
        hidden = functional.relu(functional.linear(tiles, weight, bias))
        if self.training and self.dropout:
            kept = hidden.new_ones(*hidden.shape[:-2], 1, hidden.shape[-1])
            hidden = hidden * functional.dropout(kept, self.dropout)
        return hidden

    def take(self, columns: Sequence[int]) -> Self:
        """Copy the network, with the outputs of some of its targets."""
        some = copy.deepcopy(self)
        answer = nn.Linear(self.answer.in_features, len(columns), device=self.mean.device)
        with torch.no_grad():
            answer.weight.copy_(self.answer.weight[list(columns)])
            answer.bias.copy_(self.answer.bias[list(columns)])
        some.answer = answer
        return some.eval()

    def read_blocks(self, bag: Bag) -> Iterator[torch.Tensor]:
        """Yield the tiles of a bag as float32 on the device, a block at a time."""
        rows = max(1, BLOCK_VALUES // bag.shape[1])
        for at in range(0, len(bag), rows):
            yield torch.from_numpy(bag[at : at + rows].copy()).to(self.mean.device).float()


MakeNetwork = Callable[
    [MilSettings, npt.NDArray[np.float64], npt.NDArray[np.float64], int], MilNetwork
]
"""(settings, mean and sd of tiles, each (D,), number of targets) -> network, its weights drawn from
torch's generator."""
