"""Ridge regression of many targets at once, each with a penalty of its own. Pure.

One eigendecomposition serves all targets and penalties of a fold, and leaving out one patient at a
time costs no further fit: Rifkin and Lippert 2007, Notes on Regularized Least Squares, MIT
CSAIL-TR-2007-025, section 4. Predictions are those of scikit-learn's
RidgeCV(alpha_per_target=True).

Where ridge competes with other heads, or groups of patients stay together, its penalties are scored
on the inner folds that all heads share (`FoldData.leave_one_out` is false): one more
eigendecomposition an inner fold, again for all targets and penalties at once.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg

from histo_ray.learn.fold_data import Floats, FoldData, FoldPrediction
from histo_ray.learn.heads.base import PatientHead
from histo_ray.learn.heads.linear_fit import HeadWeights, Link
from histo_ray.learn.inner_folds import Rows, draw_inner_folds

RIDGE_PENALTIES = tuple(np.logspace(4, -2, 10).tolist())
"""Times the number of features, so that they mean the same whatever the width; strongest first.

The Gram matrix of D standardised features has D on its diagonal on average. With 10,000 D hardly
anything but the mean is left, with D / 100 hardly anything is smoothed.
"""
BLOCK = 2048
"""Targets solved at once: bounds memory where there are very many, as in permutation tests."""


class Spectrum(NamedTuple):
    """Standardised features of one fold, on the principal components of its training part."""

    basis: Floats
    """(n, r) orthonormal columns."""
    values: Floats
    """(r,) eigenvalues of the Gram matrix, 0 or more."""
    test: Floats
    """(m, r): times basis' y / (values + penalty) it predicts."""
    complete: bool
    """Whether `basis` spans all n dimensions."""


def predict_ridge(fold: FoldData) -> FoldPrediction:
    """Penalty of each target by its error on held-out rows, then predict; intercept unpenalised.

    Hoerl and Kennard 1970, Technometrics 12:55. Held out is one row at a time, exactly, where
    `fold.leave_one_out` is set or no two inner folds can be had; else each inner fold.
    `inner_score` is the R2 of held-out rows. A target without variance is predicted as what it is,
    with the first penalty and score nan.

    Args:
        fold: `choices` are penalties, times the number of features D added to the eigenvalues.
    """
    spectrum = decompose_features(fold.train, fold.test)
    count = fold.targets.shape[1]
    prediction = FoldPrediction(np.empty((len(fold.test), count)), np.empty(count), np.empty(count))
    for block in _solve_blocks(spectrum, fold):
        columns = block.columns
        prediction.predicted[:, columns] = block.means + spectrum.test @ block.solved
        prediction.choice[columns] = block.choice
        prediction.inner_score[columns] = block.inner_score
    return prediction


def fit_ridge(fold: FoldData) -> HeadWeights:
    """Train as `predict_ridge` does, and return the weights."""
    dim, count = fold.train.shape[1], fold.targets.shape[1]
    spectrum = decompose_features(fold.train, fold.test)
    found = HeadWeights(np.empty((dim, count)), *(np.empty(count) for _ in range(3)))
    for block in _solve_blocks(spectrum, fold):
        columns = block.columns
        found.weights[:, columns] = fold.train.T @ (spectrum.basis @ block.solved)
        found.bias[columns] = block.means
        found.choice[columns] = block.choice
        found.inner_score[columns] = block.inner_score
    return found


class _Block(NamedTuple):
    """Some targets, solved."""

    columns: slice
    means: Floats
    """(t,) of the targets."""
    solved: Floats
    """(r, t) weights of the components of a `Spectrum`."""
    choice: Floats
    inner_score: Floats


def _solve_blocks(spectrum: Spectrum, fold: FoldData) -> Iterator[_Block]:
    """Choose a penalty of each target and solve for it, block by block."""
    penalties = np.array(fold.choices) * fold.train.shape[1]
    held_out = () if fold.leave_one_out else _decompose_inner_folds(fold)
    for columns in _blocks(fold.targets.shape[1]):
        targets = fold.targets[:, columns]
        means = targets.mean(0)
        centred = np.where(np.ptp(targets, axis=0) > 0, targets - means, 0.0)
        errors = (
            inner_fold_errors(held_out, centred, penalties)
            if held_out
            else leave_one_out_errors(spectrum, centred, penalties)
        )
        best = errors.argmin(0)
        total = (centred**2).sum(0)
        share = np.divide(
            errors[best, np.arange(len(best))],
            total,
            out=np.full(len(best), np.nan),
            where=total > 0,
        )
        rotated = spectrum.basis.T @ centred
        solved = rotated / (spectrum.values[:, None] + penalties[best])
        yield _Block(columns, means, solved, np.array(fold.choices)[best], 1 - share)


def decompose_features(train: Floats, test: Floats) -> Spectrum:
    """Eigendecomposition in the smaller of the two spaces, of patients or of features.

    Args:
        train: (n, D) with mean 0 in every column.
        test: (m, D) about the same mean.
    """
    if train.shape[0] <= train.shape[1]:
        values, basis = linalg.eigh(train @ train.T, driver="evd", check_finite=False)
        return Spectrum(basis, values.clip(0), test @ train.T @ basis, complete=True)
    values, axes = linalg.eigh(train.T @ train, driver="evd", check_finite=False)
    values = np.where(values > values[-1] * 1e-14 * len(train), values, 0.0)
    lengths = np.sqrt(values)
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return Spectrum(train @ axes * inverse, values, test @ axes * lengths, complete=False)


def leave_one_out_errors(spectrum: Spectrum, targets: Floats, penalties: Floats) -> Floats:
    """Sum of squared errors when each row is predicted by a fit to all others.

    The error of row i is (y_i - fitted_i) / (1 - leverage_i), where the intercept takes 1/n of the
    leverage: Cook and Weisberg 1982, Residuals and Influence in Regression, section 2.2.

    Args:
        spectrum: Of the rows.
        targets: (n, T) with mean 0 in every column.
        penalties: (A,) above 0.

    Returns:
        (A, T).
    """
    basis, values = spectrum.basis, spectrum.values
    rotated = basis.T @ targets
    errors = np.empty((len(penalties), targets.shape[1]))
    for row, penalty in enumerate(penalties):
        left = penalty / (values + penalty)  # share of each component that is not fitted
        if not spectrum.complete:
            left -= 1  # rows lie partly outside the basis, where nothing is fitted
        rest = (basis**2) @ left + (0 if spectrum.complete else 1) - 1 / len(basis)
        missed = (basis * left / rest[:, None]) @ rotated
        if not spectrum.complete:
            missed += targets / rest[:, None]
        errors[row] = np.einsum("ij,ij->j", missed, missed)
    return errors


class InnerFold(NamedTuple):
    """One inner fold of a training part."""

    rows: Rows
    """Trained on."""
    held: Rows
    """Held out."""
    spectrum: Spectrum
    """Decomposition of `rows`, with `held` as its test part."""


def _decompose_inner_folds(fold: FoldData) -> Sequence[InnerFold]:
    """Decompose the inner folds that all heads share; empty where no two can be had."""
    drawn = draw_inner_folds(len(fold.train), fold.inner_folds, fold.seed, fold.groups)
    found = []
    for rows, held in drawn:
        mean = fold.train[rows].mean(0)
        spectrum = decompose_features(fold.train[rows] - mean, fold.train[held] - mean)
        found.append(InnerFold(rows, held, spectrum))
    return found


def inner_fold_errors(folds: Sequence[InnerFold], targets: Floats, penalties: Floats) -> Floats:
    """Sum of squared errors when the rows of each inner fold are predicted by a fit to the others.

    Args:
        folds: Each row is held out in one of them.
        targets: (n, T).
        penalties: (A,) above 0.

    Returns:
        (A, T).
    """
    errors = np.zeros((len(penalties), targets.shape[1]))
    for rows, held, spectrum in folds:
        means = targets[rows].mean(0)
        rotated = spectrum.basis.T @ (targets[rows] - means)
        wanted = targets[held] - means
        for row, penalty in enumerate(penalties):
            missed = wanted - (spectrum.test / (spectrum.values + penalty)) @ rotated
            errors[row] += np.einsum("ij,ij->j", missed, missed)
    return errors


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))


HEAD = PatientHead(
    predict_ridge,
    RIDGE_PENALTIES,
    "penalty, times the number of features",
    fit_ridge,
    Link.IDENTITY,
)
