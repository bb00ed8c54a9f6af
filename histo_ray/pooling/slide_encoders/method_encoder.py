"""Methods of ours behind the protocol of slide encoders: fresh, or as they were published."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from histo_ray.config import digest
from histo_ray.encoders.slide_protocol import SlideSpec, TileBag
from histo_ray.pooling.slide_encoders.base import Arrays, SlideMethod
from histo_ray.store.half_floats import Float32s
from histo_ray.store.slide_cards import SlideEncoderCard

METHOD_VERSION = 1
"""Raised whenever a method that needs no fit gives other numbers for the same tiles."""
OURS = "Apache-2.0"
"""Licence of what is computed by code of this package alone."""


class MethodEncoder:
    """A method that needs no fit."""

    def __init__(self, method: SlideMethod) -> None:
        self._method = method

    def spec(self) -> SlideSpec:
        """State the method; its digest is that of name, seed and version."""
        identity = [self._method.name, self._method.seed, METHOD_VERSION]
        return SlideSpec(
            licence=OURS,
            method=self._method.published_as,
            weights_sha256=digest(identity),
            seed=self._method.seed,
            about=self._method.about,
        )

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Load nothing."""

    def encode(self, bag: TileBag) -> npt.NDArray[np.floating]:
        """As the method says."""
        return self._method.encode(bag.vectors)


class PublishedEncoder:
    """A slide encoder that was fitted and published into a store."""

    def __init__(self, card: SlideEncoderCard, load: Callable[[], SlideMethod]) -> None:
        self._card = card
        self._load = load
        self._method: SlideMethod | None = None

    def spec(self) -> SlideSpec:
        """State what its card says."""
        card = self._card
        return SlideSpec(
            dim=card.dim,
            tile_dim=card.tile_dim,
            tile_weights_sha256=card.encoder_weights_sha256,
            tile_px=card.tile_px,
            mpp=card.mpp,
            licence=OURS,
            method=card.published_as,
            weights_sha256=card.weights_sha256,
            seed=card.seed,
            about=f"{card.method}, fitted on {card.fitted_on.slides} slides",
        )

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Read the arrays."""
        self._method = self._load()

    def encode(self, bag: TileBag) -> npt.NDArray[np.floating]:
        """As the method says."""
        if self._method is None:
            raise RuntimeError("a slide encoder encodes before it is loaded")
        return self._method.encode(bag.vectors)


def digest_arrays(method: str, arrays: Arrays) -> str:
    """Digest a fitted method: name, and the bytes of its arrays by name."""
    facts = {
        name: [str(values.dtype), list(values.shape), _hash(values)]
        for name, values in sorted(arrays.items())
    }
    return digest({"method": method, "arrays": facts})


def _hash(values: npt.NDArray[np.generic]) -> str:
    return digest(np.ascontiguousarray(values).tobytes().hex())


__all__ = ["OURS", "Float32s", "MethodEncoder", "PublishedEncoder", "digest_arrays"]
