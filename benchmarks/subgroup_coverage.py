"""How often intervals of scores of groups of patients hold the truth.

    python -m benchmarks.subgroup_coverage --simulations 300

Cohorts of numbers that have an effect on the label or none; logistic or ridge regression with a
fixed penalty, five folds, five repeats. A group is a share of the patients, drawn at random. The
truth is the mean score of the group over all simulations of the cell. `fixed` is the interval with
heads held fixed, which the tables do not give.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from histo_ray.learn.fold_data import standardise_by
from histo_ray.learn.kernel_logistic import fit_logistic_path
from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.within_fold import (
    area_ends,
    correlation_ends,
    measure_error,
    pool_auroc,
    pool_pearson,
)

Floats = npt.NDArray[np.float64]

FEATURES, FOLDS, REPEATS = 40, 5, 5
SIZES = (60, 200, 500)
EFFECTS = (0.0, 0.5, 1.5)
SHARES = (0.2, 0.5, 1.0)
FEWEST = 5


class Cell(NamedTuple):
    """One kind of cohort."""

    binary: bool
    patients: int
    effect: float


def simulate(cell: Cell, rng: np.random.Generator) -> Iterator[tuple[float, Interval, Interval]]:
    """Yield share, interval and interval with fixed heads of each group of one cohort."""
    features = rng.normal(size=(cell.patients, FEATURES))
    noise = rng.logistic(size=cell.patients) if cell.binary else rng.normal(size=cell.patients)
    truth = cell.effect * features[:, 0] + noise
    if cell.binary:
        truth = (truth > 0).astype(np.float64)
    folds = np.stack([rng.permutation(cell.patients) % FOLDS for _ in range(REPEATS)])
    predicted = predict(features, truth, folds, cell.binary)
    for share in SHARES:
        count = round(share * cell.patients)
        inside = np.arange(cell.patients) < count
        if cell.binary:
            labels = truth[inside]
            counts = int(labels.sum()), int(count - labels.sum())
            if min(counts) < FEWEST:
                continue
            score, influence = pool_auroc(labels, predicted[:, inside], folds[:, inside])
            error = measure_error(influence)
            wide, fixed = (area_ends(score, error, counts, s) for s in (share, 0.0))
            yield share, wide, fixed
        else:
            scores, influences = pool_pearson(
                truth[:, None], predicted[:, :, None], folds, np.where(inside, 0, -1)
            )
            error = measure_error(influences[:, 0])
            r = float(scores[0, 0])
            wide, fixed = (correlation_ends(r, error, count, s) for s in (share, 0.0))
            yield share, wide, fixed


def predict(
    features: Floats, truth: Floats, folds: npt.NDArray[np.integer], binary: bool
) -> Floats:
    """Predict out of fold, (R, P)."""
    found = np.empty(folds.shape)
    for repeat, fold in np.ndindex(REPEATS, FOLDS):
        tested = folds[repeat] == fold
        train, test = standardise_by(features[~tested], features[tested])
        gram, labels = train @ train.T, truth[~tested]
        if binary:
            (fit,) = fit_logistic_path(gram, labels, [float(FEATURES)])
            found[repeat, tested] = expit(test @ train.T @ fit.weights + fit.bias)
            continue
        mean = labels.mean()
        weights = np.linalg.solve(gram + FEATURES * np.eye(len(gram)), labels - mean)
        found[repeat, tested] = test @ train.T @ weights + mean
    return found


def main() -> None:
    """Print a line a cell and group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("| labels | patients | effect | group | mean score | coverage | fixed heads |")
    print("|---|---|---|---|---|---|---|")
    for binary in (True, False):
        for patients in SIZES:
            for effect in EFFECTS:
                cell = Cell(binary, patients, effect)
                rng = np.random.default_rng([given.seed, binary, patients, int(10 * effect)])
                found = [one for _ in range(given.simulations) for one in simulate(cell, rng)]
                for share in SHARES:
                    _print(cell, share, [(a, b) for s, a, b in found if s == share])


def _print(cell: Cell, share: float, found: list[tuple[Interval, Interval]]) -> None:
    if len(found) < 100:
        return
    truth = float(np.mean([one.estimate for one, _ in found]))
    held = np.mean([[a.low <= truth <= a.high for a in pair] for pair in found], axis=0)
    kind = "classes" if cell.binary else "numbers"
    print(
        f"| {kind} | {cell.patients} | {cell.effect:g} | {share:.0%} | {truth:.3f} | "
        f"{held[0]:.1%} | {held[1]:.1%} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
