"""Gated attention networks of published slide encoders, with the names of their weights.

Both are equation 9 of Ilse, Tomczak and Welling 2018 (arXiv 1802.04712): a = softmax(w' (tanh(V h)
* sigmoid(U h))). They differ in sizes, names, and in what is averaged.
"""

import torch
from torch import nn


class GatedAttention(nn.Module):
    """Attention of tiles before its softmax."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.attention_a = nn.Sequential(nn.Linear(width, hidden), nn.Tanh())
        self.attention_b = nn.Sequential(nn.Linear(width, hidden), nn.Sigmoid())
        self.attention_c = nn.Linear(hidden, 1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(N, width) to (N,)."""
        found: torch.Tensor = self.attention_c(self.attention_a(hidden) * self.attention_b(hidden))
        return found[:, 0]


class FeatherNetwork(nn.Module):
    """FEATHER (Shao et al. 2025): the attended sum of projected tiles, (512,)."""

    def __init__(self, tile_dim: int) -> None:
        super().__init__()
        self.patch_embed = nn.Sequential(nn.Linear(tile_dim, 512), nn.ReLU())
        self.global_attn = GatedAttention(512, 384)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """(N, D) to (512,)."""
        hidden = self.patch_embed(tiles)
        found: torch.Tensor = self.global_attn(hidden).softmax(0) @ hidden
        return found


class ChiefNetwork(nn.Module):
    """CHIEF (Wang et al. 2024): the attended sum of the tiles themselves, (768,)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_net = nn.Sequential(
            nn.Linear(768, 512), nn.ReLU(), nn.Dropout(0.25), GatedAttention(512, 256)
        )

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """(N, 768) to (768,)."""
        attention: torch.Tensor = self.attention_net(tiles)
        return attention.softmax(0) @ tiles
