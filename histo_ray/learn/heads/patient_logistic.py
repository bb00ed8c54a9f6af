"""L2 logistic regression of several binary targets, each with a penalty by inner folds. Pure.

The same predictions as scikit-learn's GridSearchCV(LogisticRegression(), {"C": ...},
scoring="roc_auc", cv=StratifiedKFold(...)) on features standardised once by the training part.
Inner folds share that scale, where a search over a pipeline would take it anew from each; neither
sees a row of the test part.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import Floats, FoldData, FoldPrediction, PenaltyBy
from histo_ray.learn.heads.base import PatientHead
from histo_ray.learn.heads.linear_fit import HeadWeights, Link
from histo_ray.learn.inner_folds import Rows, draw_inner_folds
from histo_ray.learn.kernel_logistic import DualFit, fit_logistic_path
from histo_ray.learn.leave_one_out import leave_one_out

LOGISTIC_PENALTIES = (1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3)
"""Times the number of features D, strongest first: scikit-learn's C is 1 / (penalty * D)."""
NEWTON_LIMIT = 200
"""Features up to which scikit-learn's Newton method is the quicker where rows outnumber them."""

_Decide = Callable[[Rows, Floats, Sequence[float]], Floats]
"""(rows to train on, their labels, penalties) -> (n + m, A) log-odds of both parts."""


def predict_logistic(fold: FoldData) -> FoldPrediction:
    """Penalty of each target by the mean AUROC of stratified inner folds, then predict.

    Or by approximate leave-one-out, where `penalty_by` says so and each row is on its own.

    Inner folds depend on the target's own labels and `seed` alone. Where two of them cannot be had,
    as with a single positive, the first penalty is taken, with score nan.

    Args:
        fold: `choices` are penalties, times the number of features; `targets` 0.0 or 1.0.

    Raises:
        ConfigError: A target has one class in the training part, or other values.
    """
    check_classes(fold)
    count = fold.targets.shape[1]
    penalties = [choice * fold.train.shape[1] for choice in fold.choices]
    prediction = FoldPrediction(np.empty((len(fold.test), count)), np.empty(count), np.empty(count))
    if _leaves_out_one(fold):
        gram, across = fold.train @ fold.train.T, fold.test @ fold.train.T
        for column, labels in enumerate(fold.targets.T):
            best, fit, score = _choose_left_out(gram, labels, penalties)
            prediction.predicted[:, column] = expit(across @ fit.weights + fit.bias)
            prediction.choice[column] = fold.choices[best]
            prediction.inner_score[column] = score
        return prediction
    decide = _choose_solver(fold)
    everyone = np.arange(len(fold.train))
    for column, labels in enumerate(fold.targets.T):
        scores = _score_penalties(fold, labels, decide, penalties)
        best = int(np.nan_to_num(scores).argmax())
        odds = decide(everyone, labels, [penalties[best]])[len(everyone) :, 0]
        prediction.predicted[:, column] = expit(odds)
        prediction.choice[column], prediction.inner_score[column] = fold.choices[best], scores[best]
    return prediction


def predict_beyond_logistic(fold: FoldData, offset: Floats, test_offset: Floats) -> FoldPrediction:
    """Train with log-odds that are known beforehand, and predict log-odds.

    Penalties are chosen as in `predict_logistic`, by the AUROC of known and learnt log-odds
    together; of equals the strongest, which adds next to nothing.

    Args:
        fold: As for `predict_logistic`.
        offset: (n, T) known log-odds of the training part.
        test_offset: (m, T) of the test part.

    Raises:
        ConfigError: As `predict_logistic`.
    """
    check_classes(fold)
    count = fold.targets.shape[1]
    penalties = [choice * fold.train.shape[1] for choice in fold.choices]
    prediction = FoldPrediction(np.empty((len(fold.test), count)), np.empty(count), np.empty(count))
    products = np.concatenate([fold.train, fold.test]) @ fold.train.T
    everyone = np.arange(len(fold.train))
    for column, labels in enumerate(fold.targets.T):
        known = np.concatenate([offset[:, column], test_offset[:, column]])
        if _leaves_out_one(fold):
            gram, own = products[: len(everyone)], offset[:, column]
            best, fit, score = _choose_left_out(gram, labels, penalties, own)
            prediction.predicted[:, column] = (
                products[len(everyone) :] @ fit.weights + fit.bias + test_offset[:, column]
            )
            prediction.choice[column] = fold.choices[best]
            prediction.inner_score[column] = score
            continue
        decide = _in_patients(products, known)
        scores = _score_penalties(fold, labels, decide, penalties)
        best = int(np.nan_to_num(scores).argmax())
        odds = decide(everyone, labels, [penalties[best]])[len(everyone) :, 0]
        prediction.predicted[:, column] = odds
        prediction.choice[column], prediction.inner_score[column] = fold.choices[best], scores[best]
    return prediction


def fit_logistic(fold: FoldData) -> HeadWeights:
    """Train as `predict_logistic` does, and return the weights."""
    check_classes(fold)
    (rows, dim), count = fold.train.shape, fold.targets.shape[1]
    penalties = [choice * dim for choice in fold.choices]
    found = HeadWeights(np.empty((dim, count)), *(np.empty(count) for _ in range(3)))
    alone = _leaves_out_one(fold)
    decide = _choose_solver(fold)
    gram = None if rows > dim and not alone else fold.train @ fold.train.T
    for column, labels in enumerate(fold.targets.T):
        if alone and gram is not None:
            best, fit, score = _choose_left_out(gram, labels, penalties)
            found.weights[:, column], found.bias[column] = fold.train.T @ fit.weights, fit.bias
            found.choice[column], found.inner_score[column] = fold.choices[best], score
            continue
        scores = _score_penalties(fold, labels, decide, penalties)
        best = int(np.nan_to_num(scores).argmax())
        if gram is None:
            model = _make_model(dim).set_params(C=1 / penalties[best]).fit(fold.train, labels)
            weights, bias = model.coef_[0], float(model.intercept_[0])
        else:
            (dual,) = fit_logistic_path(gram, labels, [penalties[best]])
            weights, bias = fold.train.T @ dual.weights, dual.bias
        found.weights[:, column], found.bias[column] = weights, bias
        found.choice[column], found.inner_score[column] = fold.choices[best], scores[best]
    return found


def check_classes(fold: FoldData) -> None:
    """Refuse targets that a classifier cannot be trained on.

    Raises:
        ConfigError: A target has one class in the training part, or other values than 0 and 1.
    """
    for name, labels in zip(fold.names, fold.targets.T, strict=True):
        found = np.unique(labels)
        if not np.isin(found, (0, 1)).all():
            raise ConfigError(
                f"target {name}: value {found[~np.isin(found, (0, 1))][0]:g}, but classes are 0 "
                "and 1 only; use the expression task for values"
            )
        if len(found) < 2:
            raise ConfigError(
                f"target {name}: all {len(labels)} patients of the training part are {found[0]:g}, "
                "so there is nothing to tell apart; use fewer folds or leave the target out"
            )


def rank_auroc(labels: Floats, scores: Floats) -> Floats:
    """Area under the ROC curve of several scores, ties counted half.

    From ranks, as the Mann-Whitney statistic: Hanley and McNeil 1982, Radiology 143:29,
    doi:10.1148/radiology.143.1.7063747.

    Args:
        labels: (m,) 0.0 or 1.0, both there.
        scores: (m, A).

    Returns:
        (A,).
    """
    positive = labels == 1
    ones = int(positive.sum())
    ranks = rankdata(scores, axis=0)[positive].sum(0)
    return np.asarray((ranks - ones * (ones + 1) / 2) / (ones * (len(labels) - ones)))


def _score_penalties(
    fold: FoldData, labels: Floats, decide: _Decide, penalties: Sequence[float]
) -> Floats:
    """Mean AUROC of the inner folds for each penalty, (A,); nan where there are no two folds."""
    folds = _usable_folds(fold, labels)
    if not folds:
        return np.full(len(penalties), np.nan)
    return np.asarray(
        np.mean(
            [
                rank_auroc(labels[held], decide(rows, labels[rows], penalties)[held])
                for rows, held in folds
            ],
            axis=0,
        )
    )


class _LeftOutChoice(NamedTuple):
    best: int
    """Number of the penalty."""
    fit: DualFit
    """Fit of all rows, at this penalty."""
    score: float
    """AUROC of the rows, each by the fit without it."""


def _leaves_out_one(fold: FoldData) -> bool:
    """Whether penalties are chosen by approximate leave-one-out: no groups, no rivals."""
    alone = fold.groups is None and fold.leave_one_out
    return alone and fold.penalty_by is PenaltyBy.ALO


def _choose_left_out(
    gram: Floats, labels: Floats, penalties: Sequence[float], offset: Floats | float = 0.0
) -> _LeftOutChoice:
    """Choose the penalty by the AUROC of log-odds that nearly lack the row; of equals the first.

    The bias is that of all rows: without a positive row it falls, which alone would rank that row
    below the others.
    """
    fits = fit_logistic_path(gram, labels, penalties, offset, reuse=True)
    odds = [
        leave_one_out(gram, labels, fit, penalty, offset).fixed_bias
        for fit, penalty in zip(fits, penalties, strict=True)
    ]
    scores = rank_auroc(labels, np.column_stack(odds))
    best = int(scores.argmax())
    return _LeftOutChoice(best, fits[best], float(scores[best]))


def _usable_folds(fold: FoldData, labels: Floats) -> list[tuple[Rows, Rows]]:
    """Those with both classes on both sides."""
    drawn = draw_inner_folds(
        len(labels), fold.inner_folds, fold.seed, fold.groups, labels.astype(np.intp)
    )
    return [pair for pair in drawn if all(0 < labels[side].mean() < 1 for side in pair)]


def _choose_solver(fold: FoldData) -> _Decide:
    rows, dim = fold.train.shape
    everything = np.concatenate([fold.train, fold.test])
    if rows > dim:
        return _in_features(everything)
    return _in_patients(everything @ fold.train.T)


def _in_patients(products: Floats, known: Floats | None = None) -> _Decide:
    """Decide in the space of the patients; `known` are (n + m,) log-odds that are given."""

    def decide(rows: Rows, labels: Floats, penalties: Sequence[float]) -> Floats:
        offset = 0.0 if known is None else known[rows]
        fits = fit_logistic_path(products[np.ix_(rows, rows)], labels, penalties, offset)
        weights = np.column_stack([fit.weights for fit in fits])
        odds = np.asarray(products[:, rows] @ weights + [fit.bias for fit in fits])
        return odds if known is None else odds + known[:, None]

    return decide


def _make_model(dim: int) -> LogisticRegression:
    solver = "newton-cholesky" if dim <= NEWTON_LIMIT else "lbfgs"
    return LogisticRegression(solver=solver, tol=1e-6, max_iter=10_000, warm_start=True)


def _in_features(everything: Floats) -> _Decide:
    def decide(rows: Rows, labels: Floats, penalties: Sequence[float]) -> Floats:
        model = _make_model(everything.shape[1])
        odds = [
            model.set_params(C=1 / penalty)
            .fit(everything[rows], labels)
            .decision_function(everything)
            for penalty in penalties
        ]
        return np.column_stack(odds)

    return decide


HEAD = PatientHead(
    predict_logistic,
    LOGISTIC_PENALTIES,
    "penalty, times the number of features; scikit-learn's C is its inverse",
    fit_logistic,
    Link.LOGISTIC,
    predict_beyond_logistic,
)
