"""How often intervals of calibration and Brier's score in cross-validation hold the truth.

    python -m benchmarks.probability_coverage --simulations 200

The cohorts of classes of `benchmarks.subgroup_coverage`. The truth is the mean over all simulations
of the cell; of slope and intercept their median.
"""

import argparse

import numpy as np

from benchmarks.subgroup_coverage import EFFECTS, FEATURES, FOLDS, REPEATS, predict
from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.targets.class_probabilities import score_brier_skill, take_recalibration

NAMES = ("calibration slope", "calibration intercept", "Brier score", "Brier skill")
SIZES = (60, 100, 200)


def simulate(patients: int, effect: float, rng: np.random.Generator) -> tuple[Interval, ...]:
    """Score one cohort, in the order of `NAMES`."""
    features = rng.normal(size=(patients, FEATURES))
    truth = (effect * features[:, 0] + rng.logistic(size=patients) > 0).astype(np.float64)
    folds = np.stack([rng.permutation(patients) % FOLDS for _ in range(REPEATS)])
    values = predict(features, truth, folds, True)
    prevalence = np.empty(values.shape)
    for repeat, fold in np.ndindex(REPEATS, FOLDS):
        tested = folds[repeat] == fold
        prevalence[repeat, tested] = truth[~tested].mean()
    return (*take_recalibration(truth, values), *score_brier_skill(truth, values, prevalence))


def main() -> None:
    """Print a line a cell and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=200)
    count = parser.parse_args().simulations
    print("| patients | effect | score | middle | coverage |")
    print("|---|---|---|---|---|")
    for patients in SIZES:
        for effect in EFFECTS:
            rng = np.random.default_rng([patients, int(10 * effect)])
            found = [simulate(patients, effect, rng) for _ in range(count)]
            for name, some in zip(NAMES, zip(*found, strict=True), strict=True):
                known = [one for one in some if one.low == one.low]
                middle = np.median if name.startswith("calibration") else np.mean
                truth = float(middle([one.estimate for one in known]))
                held = np.mean([one.low <= truth <= one.high for one in known])
                print(
                    f"| {patients} | {effect:g} | {name} | {truth:.3f} | {held:.1%} |", flush=True
                )


if __name__ == "__main__":
    main()
