"""Augmentation of whole batches: first numbers are drawn, then tiles are changed. Pure.

Stain jitter: Tellez et al. 2018 (IEEE TMI 37:2126), in the space of `stain_space`; stain swap:
`stain_swap`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from histo_ray.finetune.recipe import AugmentConfig
from histo_ray.finetune.stain_space import STAINS, WHITE, optical_density
from histo_ray.finetune.stain_swap import StainStatistics, match_stains, measure_stains

Doubles = npt.NDArray[np.float64]


class Draws(NamedTuple):
    """The random numbers of B tiles."""

    turns: npt.NDArray[np.int64]
    """(B,) quarter turns, 0 to 3."""
    flips: npt.NDArray[np.bool_]
    """(B,) whether mirrored."""
    crops: Doubles
    """(B, 3): edge of the crop as a share of the tile's; its place in x and in y, from 0 to 1."""
    stains: Doubles
    """(B, 3): factor on each stain's density."""
    shifts: Doubles
    """(B, 3): offset to each stain's density."""
    donors: StainStatistics | None = None
    """Stain statistics that B tiles take over, nan where a tile keeps its own; None: all do."""

    def part(self, rows: slice) -> "Draws":
        """Those of some tiles."""
        donors = self.donors and StainStatistics(self.donors.mean[rows], self.donors.sd[rows])
        return Draws(
            self.turns[rows],
            self.flips[rows],
            self.crops[rows],
            self.stains[rows],
            self.shifts[rows],
            donors,
        )


def draw(
    random: np.random.Generator,
    count: int,
    config: AugmentConfig,
    bank: StainStatistics | None = None,
) -> Draws:
    """Draw the numbers of `count` tiles; what is switched off draws as many, so nothing shifts.

    Args:
        random: The generator; donors are drawn last.
        count: Tiles.
        config: The augmentation.
        bank: Statistics of the tiles whose stain may be taken over; None: no swap.
    """
    turns = random.integers(4, size=count)
    flips = random.random(count) < 0.5
    area = random.uniform(config.crop, 1, count)
    place = random.random((count, 2))
    stains = 1 + config.stain * random.uniform(-1, 1, (count, 3))
    shifts = config.stain_shift * random.uniform(-1, 1, (count, 3))
    crops = np.column_stack([np.sqrt(area), place])
    donors = None
    if bank is not None and len(bank.mean) and config.stain_swap:
        kept = random.random(count) >= config.stain_swap
        chosen = random.integers(len(bank.mean), size=count)
        donors = StainStatistics(
            np.where(kept[:, None], np.nan, bank.mean[chosen]), bank.sd[chosen]
        )
    return Draws(turns * config.rotations, flips & config.flips, crops, stains, shifts, donors)


def augment(tiles: torch.Tensor, draws: Draws, px: int) -> torch.Tensor:
    """Turn, mirror, crop, resize and stain anew.

    Args:
        tiles: (B, H, W, 3) uint8 RGB; H = W where turns are drawn.
        draws: For B tiles.
        px: Edge of the result.

    Returns:
        (B, 3, px, px) float32 in 0..255, in channels-last memory, on the device of `tiles`.
    """
    values = orient(tiles, draws.turns, draws.flips).permute(0, 3, 1, 2).float()
    stains, shifts = draws.stains, draws.shifts
    if draws.donors is not None:  # first the donor's stain, then jitter around it
        gain, offset = match_stains(measure_stains(values), draws.donors)
        stains, shifts = gain * stains, offset * stains + shifts
    values = crop(values, draws.crops, px)
    return jitter(values, stains, shifts).contiguous(memory_format=torch.channels_last)


def orient(
    tiles: torch.Tensor, turns: npt.NDArray[np.int64], flips: npt.NDArray[np.bool_]
) -> torch.Tensor:
    """Turn each tile counter-clockwise by quarters, then mirror it left to right.

    Args:
        tiles: (B, H, W, C).
        turns: (B,).
        flips: (B,).
    """
    if not turns.any() and not flips.any():
        return tiles
    result = torch.empty_like(tiles)
    for turn in range(4):
        for flip in (False, True):
            rows = torch.from_numpy(np.flatnonzero((turns == turn) & (flips == flip)))
            if len(rows):
                rows = rows.to(tiles.device)
                turned = torch.rot90(tiles[rows], turn, (1, 2))
                result[rows] = turned.flip(2) if flip else turned
    return result


def crop(values: torch.Tensor, crops: Doubles, px: int) -> torch.Tensor:
    """Cut a square out of each tile and resize it.

    Args:
        values: (B, C, H, W).
        crops: (B, 3): edge as a share, place in x, place in y.
        px: Edge of the result.

    Returns:
        (B, C, px, px). Whole tiles are shrunk by a filter that spans all px, others bilinearly.
    """
    if (crops[:, 0] == 1).all():
        if values.shape[-2:] == (px, px):
            return values
        return functional.interpolate(
            values, (px, px), mode="bilinear", antialias=True, align_corners=False
        )
    edge, x, y = (torch.from_numpy(crops[:, i]).to(values) for i in range(3))
    zero = torch.zeros_like(edge)
    theta = torch.stack(
        [edge, zero, (2 * x - 1) * (1 - edge), zero, edge, (2 * y - 1) * (1 - edge)], 1
    )  # from -1..1 of the result to -1..1 of the tile
    grid = functional.affine_grid(
        theta.reshape(-1, 2, 3), [len(values), values.shape[1], px, px], align_corners=False
    )
    return functional.grid_sample(
        values, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def jitter(values: torch.Tensor, stains: Doubles, shifts: Doubles) -> torch.Tensor:
    """Change how much of each stain there is.

    Args:
        values: (B, 3, H, W) in 0..255.
        stains: (B, 3) factor on each stain's density.
        shifts: (B, 3) offset to it.

    Returns:
        (B, 3, H, W) in 0..255.
    """
    if (stains == 1).all() and (shifts == 0).all():
        return values
    mixing = np.linalg.inv(STAINS)[None] * stains[:, None, :] @ STAINS  # (B, 3, 3): all in one
    density = optical_density(values.permute(0, 2, 3, 1).flatten(1, 2))
    offset = torch.from_numpy((shifts @ STAINS)[:, None, :]).to(values)
    density = torch.baddbmm(offset, density, torch.from_numpy(mixing).to(values))
    batch, _, height, width = values.shape
    changed = (WHITE * torch.exp(-density) - 1).clamp_(0, 255)
    return changed.reshape(batch, height, width, 3).permute(0, 3, 1, 2)
