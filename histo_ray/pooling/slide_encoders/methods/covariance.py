"""Slide encoder `covariance`: the matrix square root of the covariance of a slide's tiles.

Li, Xie, Wang and Zuo 2017, Is second-order information helpful for large-scale visual recognition?
(ICCV, arXiv 1703.08050): matrix power normalisation with the power 1/2 of a covariance matrix. The
covariance of few tiles is shrunk as Ledoit and Wolf (2004) say. Columns are reduced by a random
orthonormal projection that is drawn from a fixed seed and sees no data, so nothing is fitted.
"""

import numpy as np

from histo_ray.pooling.slide_encoders.base import Doubles, SlideMethod
from histo_ray.store.half_floats import Float32s

RANK = 64
"""Columns after the projection, where there are more."""
SEED = 0
_ROWS = 4096


class CovarianceEncoder(SlideMethod):
    """Upper triangle of the square root of the shrunk covariance, off-diagonals times root 2."""

    name = "covariance"
    published_as = (
        "matrix power normalised covariance (Li et al. 2017), shrunk as Ledoit and Wolf (2004)"
    )
    about = "how the columns vary together on a slide: 64 random directions, 2,080 numbers"

    @property
    def seed(self) -> int:
        """Seed of the projection."""
        return SEED

    def encode(self, vectors: Float32s) -> Float32s:
        """Half-vectorised root of the covariance, (k (k + 1) / 2,) with k = min(64, D).

        Euclidean distances between such vectors are Frobenius distances between the roots. One
        tile alone has no covariance: zeros.
        """
        reduced = project(vectors)
        found = root_of(shrink(reduced)) if len(reduced) > 1 else np.zeros((reduced.shape[1],) * 2)
        rows, columns = np.triu_indices(len(found))
        scale = np.where(rows == columns, 1.0, np.sqrt(2.0))
        half: Float32s = (found[rows, columns] * scale).astype(np.float32)
        return half


def project(vectors: Float32s) -> Doubles:
    """Project (N, D) onto min(64, D) random orthonormal directions, (N, k); all D if fewer."""
    dim = vectors.shape[1]
    if dim <= RANK:
        return vectors.astype(np.float64)
    directions = draw_directions(dim)
    blocks = range(0, len(vectors), _ROWS)
    return np.concatenate(
        [vectors[at : at + _ROWS].astype(np.float64) @ directions for at in blocks]
    )


def draw_directions(dim: int) -> Doubles:
    """Draw orthonormal directions, (D, 64), from the fixed seed."""
    drawn = np.random.default_rng([SEED, dim]).standard_normal((dim, RANK))
    directions, upper = np.linalg.qr(drawn)
    return np.asarray(directions * np.sign(np.diag(upper)))


def shrink(values: Doubles) -> Doubles:
    """Covariance of (N, k) values, shrunk towards a multiple of the identity."""
    from sklearn.covariance import ledoit_wolf

    found: Doubles = ledoit_wolf(values)[0]
    return found


def root_of(matrix: Doubles) -> Doubles:
    """Symmetric square root of a positive semidefinite matrix, by its eigenvalues."""
    values, directions = np.linalg.eigh(matrix)
    return np.asarray((directions * np.sqrt(np.maximum(values, 0))) @ directions.T)
