"""L2 logistic regression in the space of the patients it is trained on. Pure.

With fewer rows than features the weights are a combination of the rows, so features enter by their
Gram matrix alone and nothing is lost: Hastie and Tibshirani 2004, Biostatistics 5:329,
doi:10.1093/biostatistics/kxh010. Each Newton step then costs one Cholesky factor of (n, n).
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from histo_ray.learn.fold_data import Floats

TOLERANCE = 1e-4
"""Largest change of a log-odds in the last step; Newton's error after it is about its square."""
REUSED_BELOW = 0.3
"""Largest change of a log-odds after which the curvature hardly changes any more."""
MOST_STEPS = 100
_SMALLEST = 2.0**-40


class DualFit(NamedTuple):
    """Log-odds of a row x: sum of `weights` times its products with the trained rows + `bias`."""

    weights: Floats
    """(n,)."""
    bias: float


class _Curvature(NamedTuple):
    """Second derivatives of the loss at some log-odds, factored."""

    weights: Floats
    """(n,) p (1 - p)."""
    root: Floats
    """(n,) their roots."""
    factor: Floats
    """(n, n) upper Cholesky factor of I + sqrt(W) K sqrt(W) / penalty."""


def fit_logistic_path(
    gram: Floats,
    labels: Floats,
    penalties: Sequence[float],
    offset: Floats | float = 0.0,
    *,
    reuse: bool = False,
) -> list[DualFit]:
    """Minimise sum log(1 + exp(-+ log-odds)) + penalty / 2 |w|^2, bias unpenalised.

    scikit-learn's LogisticRegression(C=1 / penalty) minimises the same.

    Args:
        gram: (n, n) products of the trained rows.
        labels: (n,) 0.0 or 1.0, both there.
        penalties: Above 0; each starts where the last ended, so sorted ones are quick.
        offset: (n,) log-odds that are known beforehand and stay as they are.
        reuse: Whether the last steps take the curvature of the step before them, which saves a
            factorisation or two each penalty. The minimum is found as closely, by other roundings.

    Returns:
        One a penalty.
    """
    share = labels.mean()
    fit = DualFit(np.zeros(len(labels)), float(np.log(share / (1 - share)) - np.mean(offset)))
    fits = []
    for penalty in penalties:
        fit = _fit(gram, labels, penalty, fit, offset, reuse)
        fits.append(fit)
    return fits


def _fit(
    gram: Floats, labels: Floats, penalty: float, start: DualFit, offset: Floats | float,
    reuse: bool,
) -> DualFit:  # fmt: skip
    """Newton's method with steps halved until the objective falls.

    Iteratively reweighted least squares, with the matrix I + sqrt(W) K sqrt(W) / penalty that is
    well conditioned even where probabilities reach 0 or 1: Rasmussen and Williams 2006, Gaussian
    Processes for Machine Learning, algorithm 3.1; here with an unpenalised bias. With `reuse` its
    end is the chord method, of which the steps shrink by a constant factor.
    """
    weights, bias = start
    odds = gram @ weights + bias + offset
    lowest = _objective(weights, bias + offset, odds, labels, penalty)
    curvature: _Curvature | None = None
    moved = np.inf
    for _ in range(MOST_STEPS):
        again = curvature is not None and moved < REUSED_BELOW
        if curvature is None or not again:
            curvature = _factorise(gram, penalty, odds)
        step, lift = _newton_step(gram, labels, penalty, weights, odds, curvature)
        change = gram @ step + lift
        length = 1.0
        while length > _SMALLEST:
            trial = (weights + length * step, bias + length * lift, odds + length * change)
            found = _objective(trial[0], trial[1] + offset, trial[2], labels, penalty)
            if found <= lowest + 1e-12 * abs(lowest):
                break
            length /= 2
        (weights, bias, odds), lowest = trial, found
        before, moved = moved, length * np.abs(change).max()
        if moved < TOLERANCE and (not again or moved**2 < before * TOLERANCE**2):
            return DualFit(weights, bias)
        if not reuse or moved > before / 2:
            curvature = None
    warnings.warn(
        f"logistic regression, penalty {penalty:g}: not at rest after {MOST_STEPS} Newton steps",
        ConvergenceWarning,
        stacklevel=2,
    )
    return DualFit(weights, bias)


def _factorise(gram: Floats, penalty: float, odds: Floats) -> _Curvature:
    p = expit(odds)
    curvature = p * (1 - p)
    root = np.sqrt(curvature)
    matrix = gram * (root / penalty)
    matrix *= root[:, None]
    matrix.flat[:: len(root) + 1] += 1
    factor, _ = lapack.dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
    return _Curvature(curvature, root, factor)


def _newton_step(
    gram: Floats, labels: Floats, penalty: float, weights: Floats, odds: Floats,
    curvature: _Curvature,
) -> tuple[Floats, float]:  # fmt: skip
    """Solve (penalty I + W K) step + lift W 1 = labels - p - penalty weights.

    The lift of the bias is that which makes the new weights add up to 0, as they do at the minimum.
    """
    root = curvature.root
    sides = np.column_stack([labels - expit(odds) - penalty * weights, curvature.weights])
    solved, _ = lapack.dpotrs(curvature.factor, (root / penalty)[:, None] * (gram @ sides))
    alone, along = ((sides - root[:, None] * solved) / penalty).T
    lift = (alone.sum() + weights.sum()) / along.sum()
    return alone - lift * along, float(lift)


def _objective(
    weights: Floats, known: Floats | float, odds: Floats, labels: Floats, penalty: float
) -> float:
    """Loss and penalty; `known` is the part of the log-odds that has no penalty."""
    loss = np.logaddexp(0, odds).sum() - labels @ odds
    return float(loss + penalty / 2 * (weights @ (odds - known)))
