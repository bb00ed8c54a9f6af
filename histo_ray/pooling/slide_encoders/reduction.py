"""Principal components of tiles, fitted on drawn ones: what prototypes are counted in. Pure."""

from typing import NamedTuple, Self

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.pooling.slide_encoders.base import Arrays, Doubles, SlideSettings
from histo_ray.store.half_floats import Float32s

_ROWS = 4096


class Reduction(NamedTuple):
    """Centre and principal directions of tiles, scaled so that all together vary by 1."""

    mean: Doubles
    """(D,)."""
    directions: Doubles
    """(D, d), orthogonal; one scale for all, so that distances keep their proportions."""

    @classmethod
    def fit(cls, tiles: Float32s, components: int) -> Self:
        """Fit on (M, D) tiles: `components` directions of the largest variance, or all D."""
        mean = tiles.mean(axis=0, dtype=np.float64)
        scatter = np.zeros((len(mean), len(mean)))
        for at in range(0, len(tiles), _ROWS):
            block = tiles[at : at + _ROWS] - mean
            scatter += block.T @ block
        scatter /= len(tiles)
        variances, directions = np.linalg.eigh(scatter)
        kept = min(components, len(mean))
        chosen = directions[:, ::-1][:, :kept]
        chosen = chosen * np.where(chosen.sum(axis=0) < 0, -1.0, 1.0)
        total = float(np.maximum(variances[::-1][:kept], 0).sum())
        return cls(mean, chosen / np.sqrt(total if total > 0 else 1.0))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `list_arrays`."""
        mean, directions = (np.asarray(arrays[name], np.float64) for name in ("mean", "directions"))
        if mean.ndim != 1 or directions.ndim != 2 or len(mean) != len(directions):
            raise ValueError(f"mean {mean.shape} and directions {directions.shape} do not fit")
        return cls(mean, directions)

    def list_arrays(self) -> Arrays:
        """Arrays by name."""
        return {"mean": self.mean, "directions": self.directions}

    def apply(self, vectors: Float32s) -> Doubles:
        """Reduce (N, D) vectors to (N, d), block by block.

        Raises:
            ConfigError: Vectors of another width than it was fitted on.
        """
        if vectors.shape[1] != len(self.mean):
            raise ConfigError(
                f"vectors of tiles have {vectors.shape[1]} columns, and the slide encoder was "
                f"fitted on {len(self.mean)}; encode the tile encoder that it was fitted on"
            )
        blocks = range(0, len(vectors), _ROWS)
        return np.concatenate(
            [(vectors[at : at + _ROWS] - self.mean) @ self.directions for at in blocks]
        )


def check_tiles(tiles: Float32s, settings: SlideSettings) -> None:
    """See that there are enough tiles to fit prototypes on.

    Raises:
        ConfigError: Fewer than two a prototype.
    """
    if len(tiles) < 2 * settings.prototypes:
        raise ConfigError(
            f"{len(tiles)} tiles to fit {settings.prototypes} prototypes on, and two a prototype "
            "are the least; fit on more slides, draw more --tiles-per-slide, or ask for fewer "
            "--prototypes"
        )


def normalise_power(values: Doubles) -> Float32s:
    """Signed square root of each number, then Euclidean length 1 (Perronnin et al. 2010)."""
    rooted = np.sign(values) * np.sqrt(np.abs(values))
    length = float(np.linalg.norm(rooted))
    return np.asarray(rooted / length if length > 0 else rooted, np.float32)
