"""How often a t-test calls two equally good feature sets different.

`python -m benchmarks.null_comparisons`. Both sets are the same signal plus independent noise, so
there is no difference to be found. A linear classifier (ridge towards +-1) is judged by repeated
stratified cross-validation on the same folds; all folds of a simulation are solved at once.
"""

import argparse
import json
import time

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import (
    draw_folds,
)
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
        judged = (folds.parts[:, None, :] == np.arange(n_folds)[:, None]).reshape(-1, ROWS)
        signal = labels[:, None] * 0.25 + rng.normal(size=(ROWS, DIM)) * 0.7
        one, other = (signal + rng.normal(size=(ROWS, DIM)) * 0.7 for _ in range(2))
        differences[number] = score_folds(one, labels, judged) - score_folds(other, labels, judged)
    return differences


def score_folds(features: Floats, labels: Floats, judged: npt.NDArray[np.bool_]) -> Floats:
    """Accuracy of each fold.

    Args:
        features: (N, D).
        labels: (N,) -1 or 1.
        judged: (F, N) which rows each fold judges; it trains on the others.

    Returns:
        (F,).
    """
    x = np.column_stack([features, np.ones(len(labels))])
    size = x.shape[1]
    train = (~judged).astype(np.float64)
    squares = (train @ (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)).reshape(-1, size, size)
    products = train @ (x * labels[:, None])
    weights = np.linalg.solve(squares + RIDGE * np.eye(size), products[..., None])[..., 0]
    right = (weights @ x.T * labels) > 0
    return np.asarray((right & judged).sum(1) / judged.sum(1))


def rejection_rates(differences: Floats, n_folds: int, level: float = 0.05) -> dict[str, float]:
    """Share of simulations that each test calls different."""
    n_test = ROWS / n_folds
    corrected = corrected_t_test(differences, n_train=ROWS - n_test, n_test=n_test)
    plain = plain_t_test(differences)
    return {
        "corrected": float((corrected.p < level).mean()),
        "plain": float((plain.p < level).mean()),
    }


def main() -> None:
    """Print both rates as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.null_comparisons")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    differences = simulate_null(args.simulations, args.folds, args.repeats, args.seed)
    rates = rejection_rates(differences, args.folds)
    print(json.dumps({**vars(args), "rejected": rates, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
