"""Gated attention whose most and least attended tiles are told apart, too.

CLAM-SB: Lu, Williamson, Chen, Chen, Barbieri and Mahmood 2021, Data-efficient and weakly supervised
computational pathology on whole-slide images, Nature Biomedical Engineering 5:555
(arXiv 2004.09666). A classifier of each class learns to tell the most attended tiles of a bag of
that class from the least attended ones; the loss is (1 - w) that of bags and w that of tiles.

Three things differ. Attention is that of `abmil` with its widths and dropout. The loss of tiles is
cross-entropy (the authors' code offers it as `--inst_loss ce`; the paper has a smooth SVM loss).
Where a bag has fewer than twice `instance_tiles`, half of its tiles are most and half are least
attended, so none is both.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.abmil import AttentionNetwork
from histo_ray.learn.mil.networks.base import Loss

_CLASSES = 2


class ClamNetwork(AttentionNetwork):
    """Gated attention with a loss of tiles; predicts one target of two classes."""

    def __init__(
        self, settings: MilSettings, mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64],
        targets: int,
    ) -> None:  # fmt: skip
        """Draw weights from torch's generator; arguments as of `AttentionNetwork`."""
        super().__init__(settings, mean, sd, targets)
        self.instances = nn.Linear(settings.hidden, _CLASSES * 2)
        self._weight, self._most = settings.instance_weight, settings.instance_tiles

    def training_loss(
        self, tiles: torch.Tensor, missing: torch.Tensor | None, labels: torch.Tensor, loss: Loss
    ) -> torch.Tensor:
        """As the base class says: that of bags and that of tiles, weighed."""
        pooled, hidden, scores = self.pool(tiles, missing)
        of_bags = loss(self.answer(pooled), labels)
        of_tiles = self._instance_loss(hidden, scores.detach(), labels[:, 0].long())
        return (1 - self._weight) * of_bags + self._weight * of_tiles

    def _instance_loss(
        self, hidden: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy of the most attended tiles against the least attended ones.

        Args:
            hidden: (B, N, hidden).
            scores: (B, N) attention before its softmax, minus infinity where a tile is missing.
            classes: (B,) 0 or 1.
        """
        there = torch.isfinite(scores)
        most = max(1, min(self._most, scores.shape[1] // 2))
        top = scores.topk(most, 1).indices
        low = scores.masked_fill(~there, torch.inf).topk(most, 1, largest=False).indices
        halves = (there.sum(1, keepdim=True) // 2).clamp(max=most)
        used = torch.arange(most, device=scores.device) < halves  # (B, most)
        used = torch.cat([used, used], 1).float()
        chosen = torch.cat([top, low], 1)[..., None].expand(-1, -1, hidden.shape[-1])
        logits = self.instances(hidden.gather(1, chosen))
        by_class = logits.view(len(classes), 2 * most, _CLASSES, 2)
        own = by_class[torch.arange(len(classes)), :, classes]  # (B, 2 most, 2)
        truth = torch.zeros(own.shape[:2], dtype=torch.long, device=scores.device)
        truth[:, :most] = 1
        losses = functional.cross_entropy(own.flatten(0, 1), truth.flatten(), reduction="none")
        return (losses * used.flatten()).sum() / used.sum().clamp(min=1)


NETWORK = ClamNetwork
