"""Stain swap: a training tile takes over the stain statistics of another one. Pure but for reading.

Reinhard et al. 2001 (IEEE CG&A 21:34), statistics matched channel by channel, here in the stain
space of Ruifrok and Johnston 2001 in place of l-alpha-beta: a swap is then a factor and an offset
on each stain's density, and one matrix does it together with the jitter.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from histo_ray.finetune.schedule import DONORS
from histo_ray.finetune.stain_space import LEAST_DENSITY, STAINS, optical_density
from histo_ray.finetune.training_tiles import TileSubset

Doubles = npt.NDArray[np.float64]
DONOR_TILES = 512
"""Training tiles whose statistics can be taken over; all, where there are fewer."""
MEASURED_EDGE = 56
"""Pixels along an edge that statistics are measured on."""
LEAST_STAINED_SHARE = 0.02
"""Share of stained pixels below which a tile has no statistics."""
GAIN_RANGE = (0.5, 2.0)
"""Bounds of the factor: a tile of one tissue is not stretched into noise."""
LEAST_SD = 0.01
_BLOCK = 64


class StainStatistics(NamedTuple):
    """Density of each stain over the stained pixels of N tiles; nan where there are too few."""

    mean: Doubles
    """(N, 3): haematoxylin, eosin, the rest."""
    sd: Doubles
    """(N, 3), ddof 0."""


def measure_stains(values: torch.Tensor) -> StainStatistics:
    """Measure the stains of each tile on every so-many-th pixel.

    Args:
        values: (B, 3, H, W) in 0..255.
    """
    step = max(1, values.shape[-1] // MEASURED_EDGE)
    some = values[:, :, ::step, ::step].permute(0, 2, 3, 1).flatten(1, 2).double()
    density = optical_density(some)
    stained = (density.mean(2, keepdim=True) >= LEAST_DENSITY).double()
    amounts = density @ torch.from_numpy(np.linalg.inv(STAINS)).to(density)
    count = stained.sum(1)
    mean = (amounts * stained).sum(1) / count
    sd = (((amounts - mean[:, None]) ** 2 * stained).sum(1) / count).sqrt()
    few = count[:, 0] < LEAST_STAINED_SHARE * density.shape[1]
    mean[few], sd[few] = torch.nan, torch.nan
    return StainStatistics(mean.cpu().numpy(), sd.cpu().numpy())


def match_stains(own: StainStatistics, donors: StainStatistics) -> tuple[Doubles, Doubles]:
    """Factor and offset on each stain's density that give a tile its donor's statistics.

    Args:
        own: Of B tiles.
        donors: Of their B donors; nan: none.

    Returns:
        Factors and offsets, (B, 3) each; 1 and 0 where either has no statistics.
    """
    with np.errstate(invalid="ignore"):
        gain = np.clip(np.maximum(donors.sd, LEAST_SD) / np.maximum(own.sd, LEAST_SD), *GAIN_RANGE)
    shift = donors.mean - gain * own.mean
    known = np.isfinite(shift).all(axis=1, keepdims=True)
    return np.where(known, gain, 1.0), np.where(known, shift, 0.0)


def measure_donors(train: TileSubset, seed: int) -> StainStatistics:
    """Statistics of some training tiles, drawn by the seed alone.

    Args:
        train: The training tiles; read here.
        seed: Of the run.

    Returns:
        Of at most `DONOR_TILES` tiles; those without statistics are left out.
    """
    rows = np.random.default_rng((seed, DONORS)).permutation(len(train))[:DONOR_TILES]
    parts = [
        measure_stains(torch.from_numpy(train.read(some)).permute(0, 3, 1, 2).float())
        for some in np.array_split(rows, -(-len(rows) // _BLOCK))
    ]
    mean, sd = (np.concatenate(column) for column in zip(*parts, strict=True))
    known = np.isfinite(mean).all(axis=1)
    return StainStatistics(mean[known], sd[known])
