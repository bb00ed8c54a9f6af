"""Linear support vector machine on classes of tiles."""

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.svm import LinearSVC

from histo_ray.learn.heads.base import (
    ClassNumbers,
    Features,
    TileHead,
    fit_standardised,
    score_standardised,
    spread_scores,
)


def score_svm(
    train: Features, labels: ClassNumbers, test: Features, choices: Sequence[float], n_classes: int
) -> Iterator[Features]:
    """Yield margins of one class against the rest, with squared hinge loss.

    Args:
        train: (n, D) standardised.
        labels: (n,) class.
        test: (m, D) likewise.
        choices: scikit-learn's C, the smallest first.
        n_classes: K.
    """
    for choice in choices:
        model = _train(train, labels, choice)
        margins = model.decision_function(test)
        if margins.ndim == 1:
            margins = np.column_stack([-margins, margins])
        yield spread_scores(margins, model.classes_, n_classes, -np.inf)


def train_svm(train: Features, labels: ClassNumbers, choice: float) -> tuple[Features, Features]:
    """Train on all classes, and return weights (D, K) and bias (K,) of margins."""
    model = _train(train, labels, choice)
    weights, bias = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:  # the margin of the second class alone
        return np.column_stack([-weights, weights]), np.append(-bias, bias)
    return weights, bias


def _train(train: Features, labels: ClassNumbers, choice: float) -> LinearSVC:
    model = LinearSVC(C=choice, dual=len(train) < train.shape[1], max_iter=20_000)
    return model.set_params(random_state=0).fit(train, labels)


HEAD = TileHead(
    (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), score_standardised(score_svm), fit_standardised(train_svm)
)
