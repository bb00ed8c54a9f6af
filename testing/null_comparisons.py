"""Comparisons of two equally good feature sets, of which no test should make a difference.

Both sets are the same signal plus independent noise. A linear classifier (ridge towards +-1) is
evaluated by repeated stratified cross-validation on the same folds; all folds of a simulation are
solved at once.
"""

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import draw_folds
from histo_ray.learn.statistics import corrected_t_test, plain_t_test

Floats = npt.NDArray[np.float64]
ROWS, DIM, RIDGE = 200, 10, 1.0


def simulate_null(simulations: int, n_folds: int = 5, repeats: int = 50, seed: int = 0) -> Floats:
    """Differences in accuracy, (simulations, repeats * n_folds), none of them real."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([-1.0, 1.0], ROWS // 2)
    names = ["a" if label < 0 else "b" for label in labels]
    differences = np.empty((simulations, repeats * n_folds))
    for number in range(simulations):
        folds = draw_folds(names, n_folds, repeats, seed=seed + number * repeats)
        tested = (folds.fold_ids[:, None, :] == np.arange(n_folds)[:, None]).reshape(-1, ROWS)
        signal = labels[:, None] * 0.25 + rng.normal(size=(ROWS, DIM)) * 0.7
        one, other = (signal + rng.normal(size=(ROWS, DIM)) * 0.7 for _ in range(2))
        differences[number] = score_folds(one, labels, tested) - score_folds(other, labels, tested)
    return differences


def score_folds(features: Floats, labels: Floats, tested: npt.NDArray[np.bool_]) -> Floats:
    """Accuracy of each fold.

    Args:
        features: (N, D).
        labels: (N,) -1 or 1.
        tested: (F, N) which rows each fold tests; it trains on the others.

    Returns:
        (F,).
    """
    x = np.column_stack([features, np.ones(len(labels))])
    size = x.shape[1]
    train = (~tested).astype(np.float64)
    squares = (train @ (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)).reshape(-1, size, size)
    products = train @ (x * labels[:, None])
    weights = np.linalg.solve(squares + RIDGE * np.eye(size), products[..., None])[..., 0]
    right = (weights @ x.T * labels) > 0
    return np.asarray((right & tested).sum(1) / tested.sum(1))


def rejection_rates(differences: Floats, n_folds: int, level: float = 0.05) -> dict[str, float]:
    """Share of simulations that each test calls different."""
    n_test = ROWS / n_folds
    corrected = corrected_t_test(differences, n_train=ROWS - n_test, n_test=n_test)
    plain = plain_t_test(differences)
    return {
        "corrected": float((corrected.p < level).mean()),
        "plain": float((plain.p < level).mean()),
    }
