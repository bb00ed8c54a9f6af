"""Class probabilities of tiles as weights. Pure.

A class head is the linear layer that fine-tuning trained on an encoder's vectors: the softmax of
its logits are the probabilities of a tile's classes.

Sums are einsum's: BLAS would start threads of its own in each thread that pools.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.store.half_floats import Float32s

LEAST_CLASS_TILES = 0.5
"""Least sum of a class's probabilities for which a slide or patient counts as having a tile of it.
"""


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


def choose_classes(chosen: Sequence[str], classes: Sequence[str], encoder: str) -> Float32s:
    """Matrix that adds up the probabilities (K, n) of some classes, (1, K) of 0 and 1.

    Args:
        chosen: Classes whose probabilities are added up.
        classes: (K,) all classes of the head.
        encoder: Whose head it is, for the message.

    Raises:
        ConfigError: One of `chosen` is no class of the head.
    """
    strange = [name for name in chosen if name not in classes]
    if strange:
        raise ConfigError(
            f"pool class:{','.join(chosen)}: {encoder} knows no class {', '.join(strange)}, "
            f"choose among {', '.join(classes)}"
        )
    return np.array([[name in chosen for name in classes]], np.float32)
