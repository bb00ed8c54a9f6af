"""Slide encoder `vlad`: how the tiles of a slide lie about prototypes that k-means found.

Jegou, Douze, Schmid and Perez 2010, Aggregating local descriptors into a compact image
representation (CVPR): the sum of residuals of each prototype's tiles, side by side. Signed square
root and length 1 as in Jegou et al. 2012 (PAMI 34). Tiles are reduced to principal components.
"""

from typing import Self

import numpy as np
from threadpoolctl import threadpool_limits

from histo_ray.pooling.slide_encoders.base import Arrays, Doubles, FittedMethod, SlideSettings
from histo_ray.pooling.slide_encoders.reduction import Reduction, check_tiles, normalise_power
from histo_ray.store.half_floats import Float32s

STARTS = 4
"""Starts of k-means, of which the best is kept."""


class VladEncoder(FittedMethod):
    """Sums of residuals to the nearest of K prototypes, (K d,)."""

    name = "vlad"
    published_as = "VLAD on k-means prototypes (Jegou et al. 2010, 2012)"
    about = "sums of the tiles' differences to their nearest prototype; fitted without labels"

    def __init__(self, reduction: Reduction, prototypes: Doubles) -> None:
        self._reduction = reduction
        self._prototypes = prototypes

    @classmethod
    def fit(cls, tiles: Float32s, settings: SlideSettings) -> Self:
        """Principal components, then k-means; the same bits for the same seed and tiles."""
        check_tiles(tiles, settings)
        with threadpool_limits(1):
            reduction = Reduction.fit(tiles, settings.components)
            return cls(reduction, find_prototypes(reduction.apply(tiles), settings))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """As the base class says."""
        reduction = Reduction.from_arrays(arrays)
        prototypes = np.asarray(arrays["prototypes"], np.float64)
        if prototypes.ndim != 2 or prototypes.shape[1] != reduction.directions.shape[1]:
            raise ValueError(f"prototypes of shape {prototypes.shape} do not fit")
        return cls(reduction, prototypes)

    def list_arrays(self) -> Arrays:
        """As the base class says."""
        return {**self._reduction.list_arrays(), "prototypes": self._prototypes}

    def encode(self, vectors: Float32s) -> Float32s:
        """Residuals of the tiles of each prototype, summed, (K d,), of length 1."""
        values = self._reduction.apply(vectors)
        residuals = sum_residuals(values, self._prototypes)
        return normalise_power(residuals.reshape(-1) / len(values))


def find_prototypes(values: Doubles, settings: SlideSettings) -> Doubles:
    """Centres of k-means on (M, d) values, (K, d)."""
    from sklearn.cluster import KMeans

    found = KMeans(settings.prototypes, n_init=STARTS, random_state=settings.seed).fit(values)
    return np.asarray(found.cluster_centers_, np.float64)


def sum_residuals(values: Doubles, prototypes: Doubles) -> Doubles:
    """Sum of values minus their nearest prototype, by prototype, (K, d)."""
    squares = np.square(prototypes).sum(axis=1)
    nearest = np.argmin(squares - 2 * (values @ prototypes.T), axis=1)
    members = np.zeros((len(prototypes), len(values)))
    members[nearest, np.arange(len(values))] = 1
    return np.asarray(members @ values - members.sum(axis=1)[:, None] * prototypes)
