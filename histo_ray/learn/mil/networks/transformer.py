"""Small transformer over the tiles of a bag, whose cost grows with their number, not its square.

Set Transformer: Lee, Lee, Kim, Kosiorek, Choi and Teh 2019, ICML (arXiv 1810.00825): tiles attend
to `inducing` learned points, which have attended to all tiles (ISAB), and a learned query pools
what comes of it (PMA).

It stands where TransMIL would (Shao, Bian, Chen, Wang, Zhang, Ji and Zhang 2021, NeurIPS,
arXiv 2106.00908). TransMIL makes landmarks of neighbours in the list of tiles and lays the list out
as a square for its position encoding, so its prediction depends on the order that tiles are stored
in; here order bears on nothing. There is one layer, not two, and no class token but the query.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.base import Bag, MilNetwork


class AttentionBlock(nn.Module):
    """Multi-head attention of queries to keys, and a layer on what comes of it (MAB)."""

    def __init__(self, width: int, heads: int) -> None:
        """Draw weights; `heads` divides `width`."""
        super().__init__()
        self.heads = heads
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layer = nn.Linear(width, width)

    def forward(
        self, queries: torch.Tensor, keys: torch.Tensor, missing: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Attend.

        Args:
            queries: (B, Q, width).
            keys: (B, N, width).
            missing: (B, N) true where there is no key; None: nowhere.

        Returns:
            (B, Q, width).
        """
        key, value = self.key_value(keys).chunk(2, -1)
        there = None if missing is None else ~missing[:, None, None]
        found = functional.scaled_dot_product_attention(
            self._split(self.query(queries)), self._split(key), self._split(value), there
        )
        mixed = self.before(queries + self.out(found.transpose(1, 2).flatten(2)))
        after: torch.Tensor = self.after(mixed + functional.relu(self.layer(mixed)))
        return after

    def _split(self, values: torch.Tensor) -> torch.Tensor:
        """(B, N, width) to (B, heads, N, width / heads)."""
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)


class SetTransformer(MilNetwork):
    """One induced layer of self-attention, pooled by one query."""

    def __init__(
        self, settings: MilSettings, mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64],
        targets: int,
    ) -> None:  # fmt: skip
        """Draw weights from torch's generator; arguments as of `AttentionNetwork`."""
        super().__init__(settings, mean, sd)
        width, heads = settings.hidden, settings.transformer_heads
        spread = 1 / math.sqrt(width)
        self.points = nn.Parameter(spread * torch.randn(settings.inducing, width))
        self.seed = nn.Parameter(spread * torch.randn(1, width))
        self.gather = AttentionBlock(width, heads)
        self.scatter = AttentionBlock(width, heads)
        self.collect = AttentionBlock(width, heads)
        self.answer = nn.Linear(width, targets)

    def forward(self, tiles: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
        """As the base class says."""
        return self._answer_hidden(self.project_tiles(tiles), missing)

    @torch.inference_mode()
    def predict(self, bag: Bag) -> torch.Tensor:
        """As the base class says; all tiles are held as `hidden` values each."""
        hidden = torch.cat([self.project_tiles(block) for block in self.read_blocks(bag)])
        return self._answer_hidden(hidden[None], None)[0]

    def _answer_hidden(self, hidden: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
        count = len(hidden)
        points = self.gather(self.points.expand(count, -1, -1), hidden, missing)
        mixed = self.scatter(hidden, points)
        pooled = self.collect(self.seed.expand(count, -1, -1), mixed, missing)[:, 0]
        answer: torch.Tensor = self.answer(pooled)
        return answer


NETWORK = SetTransformer
