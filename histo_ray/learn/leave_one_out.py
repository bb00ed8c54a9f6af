"""Approximate leave-one-out of kernel logistic regression, from one fit of all rows. Pure.

One Newton step from the fit of all rows towards the fit without row i, in closed form: Rad and
Maleki 2020, JRSS B 82:965, doi:10.1111/rssb.12374; Wang et al. 2018, ICML, PMLR 80:5228.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
from scipy.special import expit

from histo_ray.learn.fold_data import Floats
from histo_ray.learn.kernel_logistic import DualFit

SMALLEST_CURVATURE = 1e-12
"""Below it a row's probability is 0 or 1 to all digits that count."""
_LEAF = 100
"""Rows up to which LAPACK inverts a triangle; larger ones are cut, as products are quicker."""


class LeftOut(NamedTuple):
    """Log-odds of each row by (nearly) the fit without it."""

    odds: Floats
    """(n,)."""
    bias_change: Floats
    """(n,) how much of them is the change of the bias."""

    @property
    def fixed_bias(self) -> Floats:
        """Log-odds with the bias of all rows, (n,), by which rows can be ranked.

        Without a positive row the bias falls, without a negative one it rises: that alone would
        rank every row on the wrong side.
        """
        return self.odds - self.bias_change


def leave_one_out(
    gram: Floats, labels: Floats, fit: DualFit, penalty: float, offset: Floats | float = 0.0
) -> LeftOut:
    """Approximate the log-odds of each row by the fit that lacks it.

    With g = p - y, W = p (1 - p), B = I + sqrt(W) K sqrt(W) / penalty, s = sqrt(W) 1 and
    r = inv(B) s, the leverage of row i is W_i h_i = 1 - q_i, q_i = inv(B)_ii - r_i^2 / s'r, and the
    log-odds without it are those with it plus g_i h_i / q_i.

    Args:
        gram: (n, n) products of the trained rows.
        labels: (n,) 0.0 or 1.0.
        fit: Of all rows, at this penalty.
        penalty: Above 0.
        offset: (n,) log-odds that are known beforehand.
    """
    odds = gram @ fit.weights + fit.bias + offset
    p = expit(odds)
    curvature = np.maximum(p * (1 - p), SMALLEST_CURVATURE)
    root = np.sqrt(curvature)
    matrix = gram * (root / penalty)
    matrix *= root[:, None]
    matrix.flat[:: len(root) + 1] += 1
    factor, _ = lapack.dpotrf(matrix.T, lower=0, clean=1, overwrite_a=1)
    solved, _ = lapack.dpotrs(factor, root)
    triangle = invert_triangle(factor)  # B = U'U; inv(B)_ii by its rows
    total = root @ solved
    left = np.maximum(
        np.einsum("ij,ij->i", triangle, triangle) - solved**2 / total, SMALLEST_CURVATURE
    )
    pull = (p - labels) / left
    return LeftOut(odds + pull * (1 - left) / curvature, pull * solved / (root * total))


def invert_triangle(upper: Floats) -> Floats:
    """Invert an upper triangular matrix, half by half.

    Args:
        upper: (n, n) 0 below the diagonal, which has no 0.
    """
    if len(upper) <= _LEAF:
        inverse: Floats = lapack.dtrtri(upper, lower=0)[0]
        return inverse
    half = len(upper) // 2
    first, last = invert_triangle(upper[:half, :half]), invert_triangle(upper[half:, half:])
    found = np.zeros_like(upper)
    found[:half, :half], found[half:, half:] = first, last
    found[:half, half:] = -(first @ upper[:half, half:]) @ last
    return found
