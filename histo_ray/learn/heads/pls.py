"""Partial least squares of all targets together, from scikit-learn. Pure."""

import numpy as np
from scipy import linalg
from sklearn.cross_decomposition import PLSRegression

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import Floats, FoldData, FoldPrediction
from histo_ray.learn.heads.base import PatientHead
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
    varying = np.flatnonzero(np.ptp(fold.targets, axis=0) > 0)
    if not len(varying):
        return prediction
    train, test = _rotate(fold.train, fold.test)
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
    best = errors.argmin(0)
    fitted = _fit_pls(train, targets, test, choices)
    chosen = np.take_along_axis(fitted, best[None, None], axis=0)[0]
    prediction.predicted[:, varying] = chosen * sds + means[varying]
    prediction.choice[varying] = choices[best]
    prediction.inner_score[varying] = 1 - errors.min(0) / (targets**2).sum(0)
    return prediction


def _fit_pls(train: Floats, targets: Floats, test: Floats, choices: Floats) -> Floats:
    """(A, m, T) predictions with each number of components."""
    middle, means = train.mean(0), targets.mean(0)
    model = PLSRegression(int(choices.max()), scale=False, max_iter=5000, tol=1e-6)
    model.fit(train - middle, targets - means)
    scores = (test - middle) @ model.x_rotations_
    loadings = model.y_loadings_
    return np.stack(
        [scores[:, : int(k)] @ loadings[:, : int(k)].T + means for k in choices],
    )


def _rotate(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """The same rows in as many dimensions as there are rows, if those are fewer than features."""
    if len(train) >= train.shape[1]:
        return train, test
    axes, lower = linalg.qr(train.T, mode="economic", check_finite=False)
    return np.asarray(lower.T), np.asarray(test @ axes)


HEAD = PatientHead(predict_pls, PLS_COMPONENTS, "components")
