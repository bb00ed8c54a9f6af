"""A Gaussian mixture of tiles with diagonal covariances: fit and posteriors. Pure."""

from typing import NamedTuple, Self

import numpy as np
from scipy.special import logsumexp

from histo_ray.pooling.slide_encoders.base import Arrays, Doubles, SlideSettings

FLOOR = 1e-6
"""Least variance of a component, where all components of all tiles together vary by 1."""
_LOG_2PI = float(np.log(2 * np.pi))


class MixtureModel(NamedTuple):
    """K components in d dimensions."""

    weights: Doubles
    """(K,) with sum 1."""
    means: Doubles
    """(K, d)."""
    variances: Doubles
    """(K, d)."""

    @classmethod
    def fit(cls, values: Doubles, settings: SlideSettings) -> Self:
        """Fit (M, d) values by expectation and maximisation from k-means."""
        from sklearn.mixture import GaussianMixture

        found = GaussianMixture(
            settings.prototypes,
            covariance_type="diag",
            reg_covar=FLOOR,
            max_iter=200,
            random_state=settings.seed,
        ).fit(values)
        return cls(
            np.asarray(found.weights_, np.float64),
            np.asarray(found.means_, np.float64),
            np.asarray(found.covariances_, np.float64),
        )

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `list_arrays`."""
        names = ("weights", "means", "variances")
        weights, means, variances = (np.asarray(arrays[name], np.float64) for name in names)
        if means.ndim != 2 or variances.shape != means.shape or weights.shape != means.shape[:1]:
            raise ValueError(f"weights {weights.shape} and means {means.shape} do not fit")
        return cls(weights, means, variances)

    def list_arrays(self) -> Arrays:
        """Arrays by name."""
        return self._asdict()

    def find_posteriors(self, values: Doubles) -> Doubles:
        """Probability of each component given each value, (N, K)."""
        precisions = 1 / self.variances
        distances = (
            np.square(values) @ precisions.T
            - 2 * values @ (self.means * precisions).T
            + (np.square(self.means) * precisions).sum(axis=1)
        )
        constant = np.log(self.variances).sum(axis=1) + self.means.shape[1] * _LOG_2PI
        with np.errstate(divide="ignore"):  # a component that lost all of its tiles
            logs = np.log(self.weights) - 0.5 * (distances + constant)
        return np.asarray(np.exp(logs - logsumexp(logs, axis=1, keepdims=True)))
