"""Multinomial logistic regression of classes of tiles."""

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from histo_ray.learn.heads.base import (
    ClassNumbers,
    Features,
    TileHead,
    fit_standardised,
    score_standardised,
    spread_scores,
)
from histo_ray.learn.heads.linear_fit import Link


def score_logistic(
    train: Features, labels: ClassNumbers, test: Features, choices: Sequence[float], n_classes: int
) -> Iterator[Features]:
    """Yield probabilities, with an L2 penalty; each fit starts where the last ended.

    Args:
        train: (n, D) standardised.
        labels: (n,) class.
        test: (m, D) likewise.
        choices: scikit-learn's C, the smallest first.
        n_classes: K.
    """
    model = _make_model()
    for choice in choices:
        model.set_params(C=choice).fit(train, labels)
        yield spread_scores(model.predict_proba(test), model.classes_, n_classes, 0.0)


def train_logistic(
    train: Features, labels: ClassNumbers, choice: float
) -> tuple[Features, Features]:
    """Train on all classes, and return weights (D, K) and bias (K,) of logits for a softmax."""
    model = _make_model().set_params(C=choice).fit(train, labels)
    weights, bias = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:  # the logit of the second class alone
        return np.column_stack([0 * weights, weights]), np.append(0 * bias, bias)
    return weights, bias


def _make_model() -> LogisticRegression:
    return LogisticRegression(max_iter=5000, warm_start=True)


HEAD = TileHead(
    (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    score_standardised(score_logistic),
    fit_standardised(train_logistic),
    Link.SOFTMAX,
)
