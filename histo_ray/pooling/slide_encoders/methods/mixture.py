"""Slide encoder `mixture`: a mixture fitted to each slide from prototypes that all slides share.

Song, Chen, Ding, Lu, Jaume and Mahmood 2024, Morphological prototyping for unsupervised slide
representation learning in computational pathology (CVPR, arXiv 2405.11643; PANTHER): shares, means
and variances of the components after one step of maximisation a posteriori, side by side. Here
tiles are reduced to principal components first, and the prior counts as much as `PRIOR` tiles.
"""

from typing import Self

import numpy as np
from threadpoolctl import threadpool_limits

from histo_ray.pooling.slide_encoders.base import Arrays, FittedMethod, SlideSettings
from histo_ray.pooling.slide_encoders.methods.vlad import find_prototypes
from histo_ray.pooling.slide_encoders.mixture_model import FLOOR, MixtureModel
from histo_ray.pooling.slide_encoders.reduction import Reduction, check_tiles
from histo_ray.store.half_floats import Float32s

PRIOR = 10.0
"""Tiles of each component that the prior stands for: a component without a tile keeps it."""


class MixtureEncoder(FittedMethod):
    """Shares (K,), means (K d,) and variances (K d,) of the slide's own mixture."""

    name = "mixture"
    published_as = "mixture about morphological prototypes (PANTHER, Song et al. 2024)"
    about = "share, mean and variance of the tiles about each prototype; fitted without labels"

    def __init__(self, reduction: Reduction, prior: MixtureModel) -> None:
        self._reduction = reduction
        self._prior = prior

    @classmethod
    def fit(cls, tiles: Float32s, settings: SlideSettings) -> Self:
        """Principal components and k-means; a prototype has share 1 / K and its tiles' variance."""
        check_tiles(tiles, settings)
        with threadpool_limits(1):
            reduction = Reduction.fit(tiles, settings.components)
            values = reduction.apply(tiles)
            means = find_prototypes(values, settings)
            squares = np.square(means).sum(axis=1)
            nearest = np.argmin(squares - 2 * (values @ means.T), axis=1)
            spread = np.square(values - means[nearest])
            variances = np.stack(
                [
                    (spread[nearest == one].sum(axis=0) + spread.mean(axis=0))
                    / ((nearest == one).sum() + 1)
                    for one in range(len(means))
                ]
            )
        weights = np.full(len(means), 1 / len(means))
        return cls(reduction, MixtureModel(weights, means, np.maximum(variances, FLOOR)))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """As the base class says."""
        return cls(Reduction.from_arrays(arrays), MixtureModel.from_arrays(arrays))

    def list_arrays(self) -> Arrays:
        """As the base class says."""
        return {**self._reduction.list_arrays(), **self._prior.list_arrays()}

    def encode(self, vectors: Float32s) -> Float32s:
        """One step of expectation and maximisation from the prior, (K (1 + 2 d),)."""
        values = self._reduction.apply(vectors)
        prior = self._prior
        found = prior.find_posteriors(values)
        counts = found.sum(axis=0)
        shares = (counts + PRIOR * prior.weights) / (len(values) + PRIOR)
        weight = (counts + PRIOR)[:, None]
        means = (found.T @ values + PRIOR * prior.means) / weight
        squares = found.T @ np.square(values) + PRIOR * (prior.variances + np.square(prior.means))
        variances = np.maximum(squares / weight - np.square(means), FLOOR)
        parts = [shares, means.reshape(-1), variances.reshape(-1)]
        return np.concatenate(parts).astype(np.float32)
