"""Gated attention pooling of a bag of tiles into one output.

Ilse, Tomczak and Welling 2018, Attention-based deep multiple instance learning, ICML
(arXiv 1802.04712), equation 9: a = softmax(w' (tanh(V h) * sigmoid(U h))), z = sum of a h.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.base import Bag, MilNetwork


class AttentionNetwork(MilNetwork):
    """Gated attention; the outputs are linear in the attended sum of tiles."""

    def __init__(
        self, settings: MilSettings, mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64],
        targets: int,
    ) -> None:  # fmt: skip
        """Draw weights from torch's generator.

        Args:
            settings: Widths and dropout.
            mean: (D,) of the training part's tiles.
            sd: (D,) of the same.
            targets: Number of targets.
        """
        super().__init__(settings, mean, sd)
        self.gates = nn.Linear(settings.hidden, 2 * settings.attention)  # V and U, in one product
        self.weigh = nn.Linear(settings.attention, 1, bias=False)
        self.answer = nn.Linear(settings.hidden, targets)
        nn.init.normal_(self.weigh.weight, std=0.3)

    def look(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Project tiles and score them for attention.

        Args:
            tiles: (..., D) raw.

        Returns:
            (..., hidden) and (...).
        """
        hidden = self.project_tiles(tiles)
        content, gate = self.gates(hidden).chunk(2, -1)
        return hidden, self.weigh(torch.tanh(content) * torch.sigmoid(gate))[..., 0]

    def pool(
        self, tiles: torch.Tensor, missing: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pool several bags; arguments as of `forward`.

        Returns:
            (B, hidden) attended sums, (B, N, hidden) tiles, and (B, N) attention before its
            softmax, minus infinity where a tile is missing.
        """
        hidden, scores = self.look(tiles)
        if missing is not None:
            scores = scores.masked_fill(missing, -torch.inf)
        attention = scores.softmax(1)
        return torch.bmm(attention[:, None], hidden)[:, 0], hidden, scores

    def forward(self, tiles: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
        """As the base class says."""
        answer: torch.Tensor = self.answer(self.pool(tiles, missing)[0])
        return answer

    @torch.inference_mode()
    def predict(self, bag: Bag) -> torch.Tensor:
        """As the base class says."""
        hidden, scores = self._look_through(bag)
        answer: torch.Tensor = self.answer(scores.softmax(0) @ hidden)
        return answer

    @torch.inference_mode()
    def attend(self, bag: Bag) -> torch.Tensor:
        """As the base class says."""
        return self._look_through(bag)[1].softmax(0)

    @torch.inference_mode()
    def look_at(self, bag: Bag) -> tuple[torch.Tensor, torch.Tensor]:
        """As the base class says."""
        hidden, scores = self._look_through(bag)
        return self.answer(hidden), scores.softmax(0)

    def _look_through(self, bag: Bag) -> tuple[torch.Tensor, torch.Tensor]:
        looks = [self.look(block) for block in self.read_blocks(bag)]
        hidden, scores = (torch.cat(parts) for parts in zip(*looks, strict=True))
        return hidden, scores


NETWORK = AttentionNetwork
