"""CPU time of the tables that reviewers ask for, beside that of the cross-validation.

    python -m benchmarks.review_tables [--quick]

Random predictions of 453 patients of 20 sites, two encoders, five folds and 50 repeats: ten
mutations with folds of their own, and 1,555 genes that share theirs. `benchmarks.cross_validation`
has the CPU time of the heads themselves.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from histo_ray.learn.targets.class_probabilities import tabulate_calibration
from histo_ray.learn.targets.site_means import tabulate_site_means
from histo_ray.learn.targets.site_prediction import (
    SiteTruth,
    predict_sites,
    tabulate_site_prediction,
)
from histo_ray.learn.targets.subgroup_scores import tabulate_subgroups
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

PATIENTS, SITES, FEATURES, ENCODERS, FOLDS = 453, 20, 2048, 2, 5


def measure(name: str, work: Callable[[], object]) -> float:
    """Print and return the CPU seconds of some work."""
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    print(f"  {name}: {seconds:.2f} CPU s", flush=True)
    return seconds


def measure_tables(kind: TargetKind, targets: int, repeats: int) -> None:
    """Measure the tables of one kind of targets."""
    rng = np.random.default_rng(0)
    sites = np.sort(rng.integers(0, SITES, PATIENTS))
    names = tuple(f"{site:02d}" for site in sites)
    binary = kind is TargetKind.BINARY
    shape = (targets, repeats, PATIENTS) if binary else (repeats, PATIENTS)
    folds = rng.permuted(np.broadcast_to(np.arange(PATIENTS) % FOLDS, shape), axis=-1)
    values = rng.normal(size=(PATIENTS, targets))
    if binary:
        values = (values > np.linspace(0, 1.4, targets)).astype(np.float64)
    truth = TargetTruth(
        "mutation" if binary else "expression",
        tuple(f"T{number}" for number in range(targets)),
        values,
        folds,
        kind=kind,
    )
    predictions = {
        f"encoder {number}": rng.random((repeats, PATIENTS, targets), np.float32)
        for number in range(ENCODERS)
    }
    print(f"{truth.task}, {targets} targets, {repeats} repeats")
    total = measure("by site", lambda: tabulate_subgroups(truth, predictions, {"site": names}))
    total += measure("site means", lambda: tabulate_site_means(truth, names))
    total += measure("calibration", lambda: tabulate_calibration(truth, predictions))
    told = SiteTruth(
        tuple(sorted(set(names))),
        sites,
        np.stack([rng.permutation(PATIENTS) % FOLDS for _ in range(2)]),
        np.arange(PATIENTS),
    )
    features = rng.normal(size=(ENCODERS, PATIENTS, FEATURES)).astype(np.float32)

    def tell() -> None:
        odds = {f"encoder {at}": predict_sites(one, told) for at, one in enumerate(features)}
        tabulate_site_prediction(told, odds)

    total += measure("prediction of the site", tell)
    print(f"  together: {total:.1f} CPU s")


def main() -> None:
    """Measure both kinds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five repeats")
    repeats = 5 if parser.parse_args().quick else 50
    measure_tables(TargetKind.BINARY, 10, repeats)
    measure_tables(TargetKind.CONTINUOUS, 1555, repeats)


if __name__ == "__main__":
    main()
