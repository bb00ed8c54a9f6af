"""Partial least squares of all targets together, from scikit-learn. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg
from sklearn.cross_decomposition import PLSRegression

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import Floats, FoldData, FoldPrediction
from histo_ray.learn.heads.base import PatientHead
from histo_ray.learn.heads.linear_fit import HeadWeights, Link
from histo_ray.learn.inner_folds import draw_regression_folds

PLS_COMPONENTS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0)


def predict_pls(fold: FoldData) -> FoldPrediction:
    """Partial least squares of all targets together; components of each target by inner folds.

    scikit-learn's PLSRegression (PLS2: Wold, Sjöström and Eriksson 2001, Chemometr Intell Lab
    Syst 58:109) on targets of unit variance. Targets share the components, so a prediction depends
    on which others are asked for; more components are added to the same fewer ones, so one fit
    serves all choices. Features are rotated into the space of the patients first, which changes no
    prediction of PLS.

    Args:
        fold: `choices` are numbers of components; those that an inner fold has no room for are
            left out.

    Raises:
        ConfigError: No room for a single choice, or no two inner folds.
    """
    means, count = fold.targets.mean(0), fold.targets.shape[1]
    predicted = np.tile(means, (len(fold.test), 1))
    prediction = FoldPrediction(predicted, np.full(count, fold.choices[0]), np.full(count, np.nan))
    found = _choose_components(fold)
    if found is None:
        return prediction
    varying, sds = found.varying, found.sds
    test = fold.test if found.axes is None else np.asarray(fold.test @ found.axes)
    fitted = _fit_pls(found.train, found.targets, test, found.choices)
    chosen = np.take_along_axis(fitted, found.best[None, None], axis=0)[0]
    prediction.predicted[:, varying] = chosen * sds + means[varying]
    prediction.choice[varying] = found.choices[found.best]
    prediction.inner_score[varying] = found.inner_score
    return prediction


def fit_pls(fold: FoldData) -> HeadWeights:
    """Train as `predict_pls` does, and return the weights."""
    means, (dim, count) = fold.targets.mean(0), (fold.train.shape[1], fold.targets.shape[1])
    weights = HeadWeights(
        np.zeros((dim, count)),
        means.copy(),
        np.full(count, fold.choices[0]),
        np.full(count, np.nan),
    )
    found = _choose_components(fold)
    if found is None:
        return weights
    middle = found.train.mean(0)
    model = _train_pls(found.train, found.targets, int(found.choices.max()))
    kept = np.arange(model.x_rotations_.shape[1]) < found.choices[found.best][:, None]  # (T, K)
    slopes = model.x_rotations_ @ (model.y_loadings_ * kept).T * found.sds
    varying = found.varying
    weights.weights[:, varying] = slopes if found.axes is None else found.axes @ slopes
    weights.bias[varying] = means[varying] + found.targets.mean(0) * found.sds - middle @ slopes
    weights.choice[varying] = found.choices[found.best]
    weights.inner_score[varying] = found.inner_score
    return weights


class _Chosen(NamedTuple):
    """Targets that vary, and how many components each is given."""

    varying: npt.NDArray[np.intp]
    """Columns of those t targets."""
    sds: Floats
    """(t,)."""
    targets: Floats
    """(n, t) of mean 0 and unit variance."""
    train: Floats
    """(n, r) features, rotated by `axes`."""
    axes: Floats | None
    """(D, r); None: features are as they were."""
    choices: Floats
    """(A,) numbers of components that there is room for."""
    best: npt.NDArray[np.intp]
    """(t,) place among them."""
    inner_score: Floats
    """(t,)."""


def _choose_components(fold: FoldData) -> _Chosen | None:
    """Choose the components of each target by inner folds; None where no target varies."""
    varying = np.flatnonzero(np.ptp(fold.targets, axis=0) > 0)
    if not len(varying):
        return None
    means = fold.targets.mean(0)
    train, axes = _rotate(fold.train)
    sds = fold.targets[:, varying].std(0)
    targets = (fold.targets[:, varying] - means[varying]) / sds
    folds = draw_regression_folds(fold)
    room = min(min(len(rows) for rows, _ in folds) - 1, train.shape[1])
    choices = np.array([choice for choice in fold.choices if choice <= room])
    if not len(choices):
        raise ConfigError(
            f"choices: {fold.choices}, none of which fits: the training part allows at most {room} "
            "components"
        )
    errors = np.zeros((len(choices), len(varying)))
    for rows, held in folds:
        fitted = _fit_pls(train[rows], targets[rows], train[held], choices)
        errors += ((fitted - targets[held]) ** 2).sum(1)
    score = 1 - errors.min(0) / (targets**2).sum(0)
    return _Chosen(varying, sds, targets, train, axes, choices, errors.argmin(0), score)


def _fit_pls(train: Floats, targets: Floats, test: Floats, choices: Floats) -> Floats:
    """(A, m, T) predictions with each number of components."""
    middle, means = train.mean(0), targets.mean(0)
    model = _train_pls(train, targets, int(choices.max()))
    scores = (test - middle) @ model.x_rotations_
    loadings = model.y_loadings_
    return np.stack(
        [scores[:, : int(k)] @ loadings[:, : int(k)].T + means for k in choices],
    )


def _train_pls(train: Floats, targets: Floats, components: int) -> PLSRegression:
    model = PLSRegression(components, scale=False, max_iter=5000, tol=1e-6)
    return model.fit(train - train.mean(0), targets - targets.mean(0))


def _rotate(train: Floats) -> tuple[Floats, Floats | None]:
    """Rows in as many dimensions as there are rows, if those are fewer than features; the axes."""
    if len(train) >= train.shape[1]:
        return train, None
    axes, lower = linalg.qr(train.T, mode="economic", check_finite=False)
    return np.asarray(lower.T), np.asarray(axes)


HEAD = PatientHead(predict_pls, PLS_COMPONENTS, "components", fit_pls, Link.IDENTITY, joint=True)
