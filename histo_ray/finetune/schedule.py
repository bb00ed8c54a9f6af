"""The learning rate over a run, and the random numbers of each batch. Pure."""

import math

import numpy as np
import numpy.typing as npt

ORDER, NETWORK, HEAD, DONORS = 1, 2, 3, 4
"""What random numbers are for; each has a stream of its own."""


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Factor on the learning rate: a linear rise, then half a cosine down to 0.

    Args:
        step: 0 to steps - 1.
        steps: Steps of the whole run.
        warm_up: Share of the steps in which it rises.

    Returns:
        Above 0, at most 1.
    """
    rise = round(warm_up * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def count_batches(tiles: int, batch_size: int) -> int:
    """Batches an epoch: whole ones, and at least one."""
    return max(1, tiles // batch_size)


def batch_rows(
    tiles: int, batch_size: int, seed: int, epoch: int, batch: int
) -> npt.NDArray[np.int64]:
    """Which of `tiles` tiles make up a batch, from the seed and the position alone.

    Returns:
        (batch_size,) indices below `tiles`, or fewer if there are fewer tiles.
    """
    order = np.random.default_rng((seed, ORDER, epoch)).permutation(tiles)
    return order[batch * batch_size : (batch + 1) * batch_size]


def batch_random(seed: int, epoch: int, batch: int, purpose: int = NETWORK) -> np.random.Generator:
    """The random numbers of a batch's augmentation, from the seed and the position alone."""
    return np.random.default_rng((seed, purpose, epoch, batch))


def share(count: int, part: int, parts: int) -> slice:
    """The `part`-th of `parts` consecutive pieces of `count` things, as equal as can be."""
    return slice(count * part // parts, count * (part + 1) // parts)
