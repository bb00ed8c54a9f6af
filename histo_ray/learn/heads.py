"""Heads trained on standardised features, each over its path of choices. scikit-learn inside.

A head is a function: rows to train on, rows to judge, choices from the most regular to the least;
scores of every class for each choice. It never sees the classes of the rows that it judges.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import LinearSVC

from histo_ray.learn.head_names import HeadName

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer]
Head = Callable[[Features, Labels, Features, Sequence[float], int], Iterator[Features]]

CHOICES: dict[str, tuple[float, ...]] = {
    "logistic": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "svm": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    "knn": (41, 21, 11, 5, 1),
    "least-squares": (1.0, 1e-1, 1e-2, 1e-3, 1e-4),
}
"""C of logistic and svm, neighbours of knn, penalty of least squares; most regular first."""


def standardise(train: Features, judged: Features) -> tuple[Features, Features]:
    """Both with the mean and sd of `train`; a feature that is constant there becomes 0."""
    mean = train.mean(0, dtype=np.float64).astype(np.float32)
    sd = train.std(0, dtype=np.float64).astype(np.float32)
    scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6 * np.abs(mean))
    return (train - mean) * scale, (judged - mean) * scale


def judge_logistic(
    train: Features, labels: Labels, judged: Features, choices: Sequence[float], n_classes: int
) -> Iterator[Features]:
    """Multinomial logistic regression with an L2 penalty; each C starts where the last ended."""
    model = LogisticRegression(max_iter=5000, warm_start=True)
    for choice in choices:
        model.set_params(C=choice).fit(train, labels)
        yield _spread(model.predict_proba(judged), model.classes_, n_classes, 0.0)


def judge_svm(
    train: Features, labels: Labels, judged: Features, choices: Sequence[float], n_classes: int
) -> Iterator[Features]:
    """Linear support vector machine, squared hinge, one class against the rest; margins."""
    for choice in choices:
        model = LinearSVC(C=choice, dual=len(train) < train.shape[1], max_iter=20_000)
        margins = model.set_params(random_state=0).fit(train, labels).decision_function(judged)
        if margins.ndim == 1:
            margins = np.column_stack([-margins, margins])
        yield _spread(margins, model.classes_, n_classes, -np.inf)


def judge_knn(
    train: Features, labels: Labels, judged: Features, choices: Sequence[float], n_classes: int
) -> Iterator[Features]:
    """Votes of the nearest neighbours by Euclidean distance; all choices from one search."""
    most = min(int(max(choices)), len(train))
    nearest = NearestNeighbors(n_neighbors=most, algorithm="brute").fit(train)
    votes = np.asarray(labels)[nearest.kneighbors(judged, return_distance=False)]
    chosen = np.eye(n_classes, dtype=np.float32)[votes].cumsum(1)  # (N, most, K)
    for choice in choices:
        count = min(int(choice), most)
        yield chosen[:, count - 1] / np.float32(count)


HEADS: dict[HeadName, Head] = {"logistic": judge_logistic, "svm": judge_svm, "knn": judge_knn}


def _spread(
    scores: npt.NDArray[np.floating], classes: Labels, n_classes: int, lowest: float
) -> Features:
    """(N, n_classes) with `lowest` for classes that the training part lacked."""
    spread = np.full((len(scores), n_classes), lowest, np.float32)
    spread[:, classes] = scores
    return spread
