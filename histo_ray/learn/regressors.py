"""Partial least squares and elastic net from scikit-learn, as alternatives to ridge. Pure."""

import numpy as np
from scipy import linalg
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import ElasticNetCV

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import Floats, FoldAnswer, FoldData
from histo_ray.learn.inner_folds import Rows, draw_inner_folds

PLS_COMPONENTS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
ELASTIC_NET_PENALTIES = tuple(np.logspace(0, -1.5, 10).tolist())
"""Times the smallest penalty that leaves no feature in; strongest first."""
L1_SHARE = 0.5
"""Of the elastic net's penalty: sklearn's l1_ratio."""


def judge_pls(fold: FoldData) -> FoldAnswer:
    """Partial least squares of all targets together; components of each target by inner folds.

    scikit-learn's PLSRegression (PLS2: Wold, Sjöström and Eriksson 2001, Chemometr Intell Lab
    Syst 58:109) on targets of unit variance. Targets share the components, so an answer depends on
    which others are asked for; more components are added to the same fewer ones, so one fit serves
    all choices. Features are rotated into the space of the patients first, which PLS cannot tell.

    Args:
        fold: `choices` are numbers of components; those that an inner fold has no room for are
            left out.

    Raises:
        ConfigError: No room for a single choice, or no two inner folds.
    """
    means, count = fold.targets.mean(0), fold.targets.shape[1]
    predicted = np.tile(means, (len(fold.judged), 1))
    answer = FoldAnswer(predicted, np.full(count, fold.choices[0]), np.full(count, np.nan))
    varying = np.flatnonzero(np.ptp(fold.targets, axis=0) > 0)
    if not len(varying):
        return answer
    train, judged = _rotate(fold.train, fold.judged)
    sds = fold.targets[:, varying].std(0)
    targets = (fold.targets[:, varying] - means[varying]) / sds
    folds = _draw(fold)
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
    fitted = _fit_pls(train, targets, judged, choices)
    chosen = np.take_along_axis(fitted, best[None, None], axis=0)[0]
    answer.predicted[:, varying] = chosen * sds + means[varying]
    answer.choice[varying] = choices[best]
    answer.inner_score[varying] = 1 - errors.min(0) / (targets**2).sum(0)
    return answer


def judge_elastic_net(fold: FoldData) -> FoldAnswer:
    """Elastic net of each target on its own, penalty by inner folds: scikit-learn's ElasticNetCV.

    Zou and Hastie 2005, J R Stat Soc B 67:301. Costs seconds a target and fold with 2,048 features:
    for tens of genes rather than thousands.

    Args:
        fold: `choices` are penalties, as a share of the smallest that leaves no feature in.

    Raises:
        ConfigError: No two inner folds can be had.
    """
    train, count = fold.train, fold.targets.shape[1]
    folds = _draw(fold)
    sizes = [len(held) for _, held in folds]
    answer = FoldAnswer(np.empty((len(fold.judged), count)), np.empty(count), np.empty(count))
    for column, values in enumerate(fold.targets.T):
        strongest = np.abs(train.T @ (values - values.mean())).max() / (len(values) * L1_SHARE)
        if np.ptp(values) == 0 or strongest == 0:
            answer.predicted[:, column] = values.mean()
            answer.choice[column], answer.inner_score[column] = fold.choices[0], np.nan
            continue
        penalties = np.array(fold.choices) * strongest
        model = ElasticNetCV(l1_ratio=L1_SHARE, alphas=penalties, cv=folds, max_iter=20_000)
        model.fit(train, values)
        at = int(np.abs(penalties - model.alpha_).argmin())
        path = np.atleast_2d(model.mse_path_)[np.flatnonzero(model.alphas_ == model.alpha_)[0]]
        answer.predicted[:, column] = model.predict(fold.judged)
        answer.choice[column] = fold.choices[at]
        answer.inner_score[column] = 1 - path @ sizes / ((values - values.mean()) ** 2).sum()
    return answer


def _draw(fold: FoldData) -> list[tuple[Rows, Rows]]:
    folds = draw_inner_folds(len(fold.train), fold.inner_folds, fold.seed, fold.groups)
    if not folds:
        raise ConfigError(
            f"training part: all {len(fold.train)} patients are of one group, but choosing by "
            "inner folds needs two; use ridge, which leaves out one patient at a time"
        )
    return folds


def _fit_pls(train: Floats, targets: Floats, judged: Floats, choices: Floats) -> Floats:
    """(A, m, T) predictions with each number of components."""
    middle, means = train.mean(0), targets.mean(0)
    model = PLSRegression(int(choices.max()), scale=False, max_iter=5000, tol=1e-6)
    model.fit(train - middle, targets - means)
    scores = (judged - middle) @ model.x_rotations_
    loadings = model.y_loadings_
    return np.stack(
        [scores[:, : int(k)] @ loadings[:, : int(k)].T + means for k in choices],
    )


def _rotate(train: Floats, judged: Floats) -> tuple[Floats, Floats]:
    """The same rows in as many dimensions as there are rows, if those are fewer than features."""
    if len(train) >= train.shape[1]:
        return train, judged
    axes, lower = linalg.qr(train.T, mode="economic", check_finite=False)
    return np.asarray(lower.T), np.asarray(judged @ axes)
