"""Slide encoder `attention`: tiles weighed as trained attention networks weigh them.

Ilse, Tomczak and Welling 2018, Attention-based deep multiple instance learning (ICML, arXiv
1802.04712). The weight of a tile is the mean over all networks of an ensemble, and the slide's
vector is the weighted mean of the tiles' own vectors: that is the one basis that networks share.
"""

from typing import TYPE_CHECKING

import numpy as np

from histo_ray.deferred import deferred
from histo_ray.pooling.slide_encoders.base import Arrays, SlideMethod
from histo_ray.pooling.slide_encoders.registry import ATTENTION
from histo_ray.store.half_floats import Float32s

if TYPE_CHECKING:
    from histo_ray.learn.mil.head import MilHead

_read_head = deferred("histo_ray.learn.mil.head:read_head")


class AttentionEncoder(SlideMethod):
    """Weighted mean of each column, (D,), by the mean attention of some heads."""

    name = ATTENTION
    published_as = "gated attention (ABMIL, Ilse et al. 2018)"
    about = "mean of tiles by learned attention; trained on labels"

    def __init__(self, heads: "tuple[MilHead, ...]") -> None:
        self._heads = heads

    @classmethod
    def from_arrays(cls, arrays: Arrays, origin: str) -> "AttentionEncoder":
        """Read heads from their bytes, `head.0`, `head.1`, ...

        Args:
            arrays: uint8, by name.
            origin: Where they came from, for messages.

        Raises:
            ConfigError: One is no such head.
        """
        data = (np.asarray(arrays[f"head.{at}"], np.uint8) for at in range(len(arrays)))
        return cls(tuple(_read_head(one.tobytes(), origin) for one in data))

    def list_arrays(self) -> Arrays:
        """Bytes of the heads, uint8, by name."""
        return {
            f"head.{at}": np.frombuffer(head.to_bytes(), np.uint8)
            for at, head in enumerate(self._heads)
        }

    def encode(self, vectors: Float32s) -> Float32s:
        """Weighted mean of the tiles, (D,)."""
        weights = np.mean([head.attend(vectors) for head in self._heads], axis=0)
        return np.asarray(weights @ vectors.astype(np.float64), np.float32)
