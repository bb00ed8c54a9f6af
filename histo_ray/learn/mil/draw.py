"""Tiles drawn from bags for a step of training, into memory that is used again."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from histo_ray.learn.mil.mil_settings import MilSettings


class TileDraw:
    """Draws up to so many tiles from each bag of a step, without putting any back."""

    def __init__(self, vectors: Sequence[npt.NDArray[np.floating]], settings: MilSettings) -> None:
        """Draw from `vectors`, n of (N_i, D)."""
        self.vectors = vectors
        self._most = settings.tiles_per_bag
        self._device = torch.device(settings.device)
        self._raw = np.empty(0, np.result_type(*{bag.dtype for bag in vectors}))
        self._wide = torch.empty(0, device=self._device)

    def __call__(
        self, rows: npt.NDArray[np.intp], random: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Draw from the bags of `rows`, by `random`.

        Returns:
            (B, N, D) float32 on the device, good until the next call, and (B, N) true where a bag
            has no tile; None: nowhere.
        """
        bags = [self.vectors[row] for row in rows]
        counts = np.array([min(len(bag), self._most) for bag in bags])
        shape = (len(bags), int(counts.max()), bags[0].shape[1])
        size = int(np.prod(shape))
        if size > len(self._raw):
            self._raw = np.zeros(size, self._raw.dtype)
            self._wide = torch.empty(size, device=self._device)
        raw = self._raw[:size].reshape(shape)
        for place, bag, count in zip(raw, bags, counts, strict=True):
            if count < len(bag):
                chosen = random.choice(len(bag), count, replace=False, shuffle=False)
                chosen.sort()  # memory is read in order
                np.take(bag, chosen, 0, out=place[:count], mode="clip")
            else:
                place[:count] = bag
            place[count:] = 0
        tiles = self._wide[:size].view(shape).copy_(torch.from_numpy(raw))
        if (counts == shape[1]).all():
            return tiles, None
        missing = np.arange(shape[1]) >= counts[:, None]
        return tiles, torch.from_numpy(missing).to(self._device)
