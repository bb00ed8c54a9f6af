"""Gated attention pooling of a bag of tiles into one output.

Ilse, Tomczak and Welling 2018, Attention-based deep multiple instance learning, ICML
(arXiv 1802.04712), equation 9: a = softmax(w' (tanh(V h) * sigmoid(U h))), z = sum of a h.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from histo_ray.learn.mil.mil_settings import MilSettings

BLOCK_VALUES = 1 << 23
"""Values of tiles that are on their way through the network at once outside training."""


class AttentionNetwork(nn.Module):
    """Raw tile vectors of some bags to a logit, or a standardised value, for each target."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, settings: MilSettings, mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64],
        targets: int,
    ) -> None:  # fmt: skip
        """Draw weights from torch's generator.

        Args:
            settings: Widths and dropout.
            mean: (D,) mean of the tiles that it will be trained on.
            sd: (D,) sd of the same; a feature that is constant there is ignored.
            targets: Number of targets.
        """
        super().__init__()
        dim, hidden = len(mean), settings.hidden
        scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6 * np.abs(mean))
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        self.project = nn.Linear(dim, hidden)
        self.gates = nn.Linear(hidden, 2 * settings.attention)  # V and U, in one product
        self.weigh = nn.Linear(settings.attention, 1, bias=False)
        self.answer = nn.Linear(hidden, targets)
        nn.init.normal_(self.weigh.weight, std=0.3)
        self.dropout = settings.dropout

    def look(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Project tiles and score them for attention.

        Dropout takes the same projected values from all tiles of a bag.

        Args:
            tiles: (..., D) raw.

        Returns:
            (..., hidden) and (...).
        """
        weight = self.project.weight * self.scale  # standardises on the way
        bias = self.project.bias - weight @ self.mean
        hidden = functional.relu(functional.linear(tiles, weight, bias))
        if self.training and self.dropout:
            kept = hidden.new_ones(*hidden.shape[:-2], 1, hidden.shape[-1])
            hidden = hidden * functional.dropout(kept, self.dropout)
        content, gate = self.gates(hidden).chunk(2, -1)
        return hidden, self.weigh(torch.tanh(content) * torch.sigmoid(gate))[..., 0]

    def forward(self, tiles: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
        """Outputs of several bags.

        Args:
            tiles: (B, N, D) raw, bags padded at their ends.
            missing: (B, N) true where a bag has no tile; None: nowhere.

        Returns:
            (B, T).
        """
        hidden, scores = self.look(tiles)
        if missing is not None:
            scores = scores.masked_fill(missing, -torch.inf)
        attention = scores.softmax(1)
        pooled = torch.bmm(attention[:, None], hidden)[:, 0]
        answer: torch.Tensor = self.answer(pooled)
        return answer

    @torch.inference_mode()
    def predict(self, bag: npt.NDArray[np.floating]) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs of one bag of any size, block by block.

        Args:
            bag: (N, D).

        Returns:
            (T,) output and (N,) attention, which sums to 1.
        """
        hidden, scores = self._look_through(bag)
        attention = scores.softmax(0)
        return self.answer(attention @ hidden), attention

    @torch.inference_mode()
    def look_at(self, bag: npt.NDArray[np.floating]) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs of each tile of a bag as if it were alone, and their attention, block by block.

        Args:
            bag: (N, D).

        Returns:
            (N, T) outputs and (N,) attention, which sums to 1.
        """
        hidden, scores = self._look_through(bag)
        return self.answer(hidden), scores.softmax(0)

    def _look_through(self, bag: npt.NDArray[np.floating]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = max(1, BLOCK_VALUES // bag.shape[1])
        looks = [
            self.look(torch.from_numpy(bag[at : at + rows].copy()).to(self.mean.device).float())
            for at in range(0, len(bag), rows)
        ]
        hidden, scores = (torch.cat(parts) for parts in zip(*looks, strict=True))
        return hidden, scores
