"""What is measured of each tile to tell which slide it may be from: colours and a small picture.

The measuring is pure; `read_traits` reads the pixels of a set block by block and keeps none.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.tilesets.image import Pixels
from histo_ray.tilesets.tileset import LOADERS, TileSet, load_tiles

THUMB_PX = 64
"""Edge of the grey picture that near-duplicates are looked for in."""
BLOCK = 64
"""Tiles whose pixels are in memory at once, a thread."""
LEAST_DENSITY = 0.15
"""Mean optical density (natural logarithm) of a pixel that counts as stained."""
LEAST_STAINED = 50
"""Looked-at pixels below which a tile has no stain of its own, and all of it is measured."""
SAMPLED = 16_384
"""Pixels of a tile, on a regular grid, that are looked at for its stain at most."""
COLOUR_NAMES = tuple(
    f"{space} {of} {channel}"
    for space, of in (("rgb", "mean"), ("rgb", "sd"), ("density", "mean"), ("density", "sd"))
    for channel in ("red", "green", "blue")
)
"""Columns of `TileTraits.colours`."""

Floats = npt.NDArray[np.float32]

_LEVELS = np.arange(256) / 255
_DENSITY = -np.log((np.arange(256) + 1) / 256)
"""Optical density (natural logarithm) of each grey level, with light of 255."""
_TO_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class TileTraits:
    """Traits of N tiles, in their order."""

    colours: Floats
    """(N, 12): mean and standard deviation (ddof 0) of each channel over all pixels, of RGB in
    0..1 and of optical density; see `COLOUR_NAMES`."""
    stains: Floats
    """(N, 9): of stained pixels, the unit vector of mean optical density, the correlations of the
    channels' densities (RG, RB, GB), and the unit normal of the plane of both stains, by which
    the amounts of stain do not count."""
    thumbs: npt.NDArray[np.uint8]
    """(N, 64, 64) grey."""

    def __len__(self) -> int:
        return len(self.colours)


def read_traits(tiles: TileSet, threads: int | None = None) -> TileTraits:
    """Measure all tiles of a set; decoded once more, pixels held against their digests.

    Args:
        tiles: The set.
        threads: That decode and measure (default: one a core, at most `LOADERS`); the result does
            not depend on it.

    Raises:
        ConfigError: A file has gone or changed since the set was read.
    """
    starts = range(0, len(tiles), BLOCK)
    spans = [range(start, min(start + BLOCK, len(tiles))) for start in starts]

    def measure(span: range) -> TileTraits:
        return measure_traits(load_tiles(tiles, span, threads=1, check=True))

    with ThreadPoolExecutor(threads or min(LOADERS, os.cpu_count() or 1)) as pool:
        return join_traits(pool.map(measure, spans))


def shrink_tiles(
    tiles: TileSet, rows: Sequence[int], threads: int | None = None
) -> npt.NDArray[np.uint8]:
    """Read some tiles of a set as `TileTraits.thumbs` has them.

    Args:
        tiles: The set.
        rows: Which.
        threads: As for `read_traits`.

    Raises:
        ConfigError: A file has gone or changed since the set was read.
    """

    def shrink(start: int) -> list[npt.NDArray[np.uint8]]:
        some = load_tiles(tiles, rows[start : start + BLOCK], threads=1, check=True)
        return [_shrink(tile) for tile in some]

    with ThreadPoolExecutor(threads or min(LOADERS, os.cpu_count() or 1)) as pool:
        parts = list(pool.map(shrink, range(0, len(rows), BLOCK)))
    shrunk = [thumb for part in parts for thumb in part]
    return np.array(shrunk, np.uint8).reshape(-1, THUMB_PX, THUMB_PX)


def join_traits(parts: Iterable[TileTraits]) -> TileTraits:
    """Join the traits of consecutive tiles.

    Raises:
        ConfigError: There is no tile.
    """
    some = list(parts)
    if not some:
        raise ConfigError("tiles: there is none to measure; give a set with tiles")
    return TileTraits(*(np.concatenate(arrays) for arrays in zip(*map(_arrays, some), strict=True)))


def measure_traits(pixels: Pixels) -> TileTraits:
    """Measure some tiles. Pure.

    Args:
        pixels: (N, height, width, 3) uint8 RGB.
    """
    count = len(pixels)
    colours, stains = np.empty((count, 12), np.float32), np.empty((count, 9), np.float32)
    thumbs = np.empty((count, THUMB_PX, THUMB_PX), np.uint8)
    for at, tile in enumerate(pixels):
        colours[at], stains[at], thumbs[at] = _colours(tile), _stain(tile), _shrink(tile)
    return TileTraits(colours, stains, thumbs)


def _arrays(traits: TileTraits) -> Iterator[npt.NDArray[np.generic]]:
    yield from (traits.colours, traits.stains, traits.thumbs)


def _colours(tile: Pixels) -> npt.NDArray[np.float64]:
    """(12,) means and deviations, by the histogram of each channel."""
    shares = [np.bincount(tile[..., c].ravel(), minlength=256) for c in range(3)]
    histogram = np.array(shares) / (tile.shape[0] * tile.shape[1])
    found = []
    for scale in (_LEVELS, _DENSITY):
        mean = histogram @ scale
        spread = histogram @ scale**2 - mean**2
        found += [mean, np.sqrt(np.maximum(spread, 0))]
    return np.concatenate(found)


def _stain(tile: Pixels) -> npt.NDArray[np.float64]:
    """(9,) hue, correlations and normal of `TileTraits.stains`."""
    step = max(1, int(np.ceil(np.sqrt(tile.shape[0] * tile.shape[1] / SAMPLED))))
    density = _DENSITY[tile[::step, ::step].reshape(-1, 3)]
    stained = density[density.mean(axis=1) >= LEAST_DENSITY]
    if len(stained) < LEAST_STAINED:
        stained = density
    mean = stained.mean(axis=0)
    hue = mean / max(float(np.linalg.norm(mean)), 1e-9)
    scatter = stained.T @ stained / len(stained)
    covariance = scatter - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-6))
    correlation = (covariance / np.outer(spread, spread))[np.triu_indices(3, 1)]
    normal = np.linalg.eigh(scatter)[1][:, 0]  # of the least spread: neither stain has any there
    normal *= 1.0 if normal[0] >= 0 else -1.0
    return np.concatenate([hue, correlation, normal])


def _shrink(tile: Pixels) -> npt.NDArray[np.uint8]:
    grey = tile.astype(np.float32) @ _TO_GREY
    small = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    shrunk: npt.NDArray[np.uint8] = np.round(small).astype(np.uint8)
    return shrunk
