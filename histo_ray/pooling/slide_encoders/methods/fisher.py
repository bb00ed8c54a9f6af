"""Slide encoder `fisher`: how a slide's tiles would move a mixture that fits all slides.

Perronnin and Dance 2007, Fisher kernels on visual vocabularies for image categorization (CVPR);
signed square root and length 1 as in Perronnin, Sanchez and Mensink 2010, Improving the Fisher
kernel for large-scale image classification (ECCV), whose equations of the gradients these are.
"""

from typing import Self

import numpy as np
from threadpoolctl import threadpool_limits

from histo_ray.pooling.slide_encoders.base import Arrays, FittedMethod, SlideSettings
from histo_ray.pooling.slide_encoders.mixture_model import MixtureModel
from histo_ray.pooling.slide_encoders.reduction import Reduction, check_tiles, normalise_power
from histo_ray.store.half_floats import Float32s


class FisherEncoder(FittedMethod):
    """Gradients of the log-likelihood with respect to means and deviations, (2 K d,)."""

    name = "fisher"
    published_as = "improved Fisher vectors (Perronnin and Dance 2007, Perronnin et al. 2010)"
    about = "how a slide would move the mixture of all tiles; fitted without labels"

    def __init__(self, reduction: Reduction, mixture: MixtureModel) -> None:
        self._reduction = reduction
        self._mixture = mixture

    @classmethod
    def fit(cls, tiles: Float32s, settings: SlideSettings) -> Self:
        """Principal components, then the mixture; the same bits for the same seed and tiles."""
        check_tiles(tiles, settings)
        with threadpool_limits(1):
            reduction = Reduction.fit(tiles, settings.components)
            return cls(reduction, MixtureModel.fit(reduction.apply(tiles), settings))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """As the base class says."""
        return cls(Reduction.from_arrays(arrays), MixtureModel.from_arrays(arrays))

    def list_arrays(self) -> Arrays:
        """As the base class says."""
        return {**self._reduction.list_arrays(), **self._mixture.list_arrays()}

    def encode(self, vectors: Float32s) -> Float32s:
        """Gradients by all means, then by all deviations, (2 K d,), of length 1."""
        values = self._reduction.apply(vectors)
        mixture = self._mixture
        found = mixture.find_posteriors(values)
        counts = found.sum(axis=0)[:, None]
        first, second = found.T @ values, found.T @ np.square(values)
        deviations = np.sqrt(mixture.variances)
        roots = np.sqrt(np.maximum(mixture.weights, np.finfo(np.float64).tiny))[:, None]
        by_mean = (first - counts * mixture.means) / deviations / roots
        spread = second - 2 * mixture.means * first + counts * np.square(mixture.means)
        by_deviation = (spread / mixture.variances - counts) / (np.sqrt(2) * roots)
        both = np.concatenate([by_mean.reshape(-1), by_deviation.reshape(-1)])
        return normalise_power(both / len(values))
