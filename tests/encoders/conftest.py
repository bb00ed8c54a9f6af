"""Tiles that look like something, and encoders small enough for every test."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder

Tiles = npt.NDArray[np.uint8]


@cache
def _load(request: str) -> TorchEncoder:
    return load_encoder(resolve(request), device="cpu", threads=2)


@pytest.fixture(scope="session")
def load() -> Callable[[str], TorchEncoder]:
    """Loads a request once for the whole session."""
    return _load


def make_tiles(count: int, side: int, seed: int = 0) -> Tiles:
    """(count, side, side, 3): smooth colour fields with grain, brighter towards one corner."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(side) * 2, np.arange(side)) / (3 * side) * 90
    colour = rng.uniform(40, 160, (count, 1, 1, 3))
    grain = rng.normal(0, 25, (count, side, side, 3))
    return np.clip(colour + ramp[None, :, :, None] + grain, 0, 255).astype(np.uint8)


def cosines(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Cosine of each row of `a` with the same row of `b`."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a64, axis=1) * np.linalg.norm(b64, axis=1)
    result: npt.NDArray[np.float64] = (a64 * b64).sum(1) / norms
    return result


@pytest.fixture(scope="session")
def tiles() -> Callable[..., Tiles]:
    """`make_tiles` for tests."""
    return make_tiles


@pytest.fixture(scope="session")
def cosine() -> Callable[..., npt.NDArray[np.float64]]:
    """`cosines` for tests."""
    return cosines
