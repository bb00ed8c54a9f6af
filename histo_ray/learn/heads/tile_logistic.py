"""Multinomial logistic regression of classes of tiles."""

from collections.abc import Iterator, Sequence

from sklearn.linear_model import LogisticRegression

from histo_ray.learn.heads.base import (
    ClassNumbers,
    Features,
    TileHead,
    score_standardised,
    spread_scores,
)


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
    model = LogisticRegression(max_iter=5000, warm_start=True)
    for choice in choices:
        model.set_params(C=choice).fit(train, labels)
        yield spread_scores(model.predict_proba(test), model.classes_, n_classes, 0.0)


HEAD = TileHead((1e-4, 1e-3, 1e-2, 1e-1, 1.0), score_standardised(score_logistic))
