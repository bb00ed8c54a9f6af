"""Means of tiles, weighted by nothing, by tissue, or by what a class head says of a tile. Pure.

A class head is the linear layer that fine-tuning trained on an encoder's vectors: the softmax of
its logits are the probabilities of a tile's classes.

Sums are einsum's: BLAS would start threads of its own in each thread that pools.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.store.half_floats import Float32s

LEAST_CLASS_TILES = 0.5
"""Weights of a class that sum to less are no tile of it."""


@dataclass(frozen=True)
class ClassHead:
    """A linear layer from vectors to logits of classes."""

    classes: tuple[str, ...]
    """(K,)."""
    weight: Float32s
    """(K, D)."""
    bias: Float32s
    """(K,)."""


def class_probabilities(head: ClassHead, vectors: Float32s) -> Float32s:
    """P(class) of (n, D) vectors, (K, n): softmax(W x + b)."""
    from scipy.special import softmax

    with np.errstate(invalid="ignore"):  # tiles that are not finite have no probabilities
        logits = np.einsum("kd,nd->kn", head.weight, vectors) + head.bias[:, None]
        probabilities: Float32s = softmax(logits, axis=0)
    return probabilities


def choose_classes(wanted: Sequence[str], classes: Sequence[str], encoder: str) -> Float32s:
    """What turns probabilities (K, n) into the weights of one mean, as (1, K) of 0 and 1.

    Raises:
        ConfigError: One of `wanted` is no class of the head.
    """
    strange = [name for name in wanted if name not in classes]
    if strange:
        raise ConfigError(
            f"pool class:{','.join(wanted)}: {encoder} knows no class {', '.join(strange)}, "
            f"choose among {', '.join(classes)}"
        )
    return np.array([[name in wanted for name in classes]], np.float32)


@dataclass(frozen=True)
class Weighed:
    """Sums of weights (J,) and of weighted vectors (J, D), float64."""

    total: npt.NDArray[np.float64]
    sums: npt.NDArray[np.float64]


def weigh_piece(vectors: Float32s, weights: Float32s) -> Weighed:
    """Sums of (n, D) vectors by (J, n) weights; n small, as the sums are made in float32."""
    with np.errstate(invalid="ignore"):  # vectors that are not finite stay so
        sums = np.einsum("jn,nd->jd", weights, vectors)
    return Weighed(weights.sum(axis=1, dtype=np.float64), sums.astype(np.float64))


def merge_weighed(parts: Iterable[Weighed]) -> Weighed:
    """Sums of all pieces together."""
    total: npt.NDArray[np.float64] | None = None
    for part in parts:
        if total is None:
            total, sums = part.total.copy(), part.sums.copy()
            continue
        total += part.total
        sums += part.sums
    if total is None:
        raise ValueError("no piece was weighed")
    return Weighed(total, sums)


def average(weighed: Weighed) -> npt.NDArray[np.float64]:
    """Weighted means, (J, D); rows without any weight are nan."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weighed.total[:, None] > 0, weighed.sums / weighed.total[:, None], np.nan)
