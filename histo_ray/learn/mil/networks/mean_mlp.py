"""Mean of a bag's tiles through a perceptron with one hidden layer: what attention has to beat."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.base import Bag, MilNetwork


class MeanNetwork(MilNetwork):
    """Perceptron on the mean of the tiles that are drawn, or of all when it predicts."""

    def __init__(
        self, settings: MilSettings, mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64],
        targets: int,
    ) -> None:  # fmt: skip
        """Draw weights from torch's generator; arguments as of `AttentionNetwork`."""
        super().__init__(settings, mean, sd)
        self.answer = nn.Linear(settings.hidden, targets)

    def forward(self, tiles: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
        """As the base class says."""
        if missing is None:
            return self._answer_means(tiles.mean(1))
        return self._answer_means(tiles.sum(1) / (~missing).sum(1, keepdim=True))  # these are 0

    @torch.inference_mode()
    def predict(self, bag: Bag) -> torch.Tensor:
        """As the base class says."""
        total = sum(block.sum(0, dtype=torch.float64) for block in self.read_blocks(bag))
        means = torch.as_tensor(total / len(bag)).float()
        return self._answer_means(means[None])[0]

    def _answer_means(self, means: torch.Tensor) -> torch.Tensor:
        """Outputs (B, T) of means (B, D)."""
        answer: torch.Tensor = self.answer(self.project_tiles(means[:, None])[:, 0])
        return answer


NETWORK = MeanNetwork
