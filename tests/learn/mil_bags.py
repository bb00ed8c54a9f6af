"""Bags of made-up tiles for the tests of attention heads."""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.mil.bags import Bags, measure_bags
from histo_ray.learn.mil.head import MilHead
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.training import train_mil

Floats = npt.NDArray[np.float64]
DIM = 7
SMALL = MilSettings(members=1, hidden=12, attention=6, epochs=4, tiles_per_bag=9, batch=8)


class Notes:
    """A report that keeps what it is told, and asks to end after `most` epochs."""

    def __init__(self, most: int = 1000) -> None:
        self.scores: list[float] = []
        self._most = most

    def __call__(self, epoch: int, score: float) -> bool:
        self.scores.append(score)
        assert epoch == len(self.scores)
        return epoch < self._most


def make_bags(
    count: int = 40, seed: int = 0, shift: float = 0.0, rare: float = 0.1
) -> tuple[list[npt.NDArray[np.float16]], Floats]:
    """Bags of 5 to 29 tiles, labels; a few tiles of a positive stand out by `shift`."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 == 0).astype(np.float64)[:, None]
    bags = []
    for label in labels[:, 0]:
        tiles = random.normal(size=(int(random.integers(5, 30)), DIM))
        tiles[: max(1, round(rare * len(tiles))), 2] += shift * label
        tiles[:, 4] = 0.1  # constant
        scale = np.array([1, 40, 0.05, 3, 1, 1, 2])
        bags.append((random.permutation(tiles) * scale + 5).astype(np.float16))
    return bags, labels


def small_head(members: int = 1, seed: int = 3) -> tuple[MilHead, Bags]:
    bags, labels = make_bags(shift=3)
    measured = measure_bags(bags)
    settings = SMALL.model_copy(update={"members": members, "epochs": 2})
    return train_mil(measured, labels, settings, seed), measured
