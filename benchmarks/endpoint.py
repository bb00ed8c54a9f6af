"""Level and power of the primary endpoint, and of single targets among those that both predict.

`python -m benchmarks.endpoint [--simulations N] [--cells NAME ...]`: JSON to stdout, a line a cell.
Cohorts are drawn from a factor model, so targets are correlated as genes are; features carry their
sum under noise of their own for each of two encoders. "Before" is what 0.4.0 did: a bootstrap of
the mean with heads held fixed, and Benjamini-Hochberg over all targets.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.__main__ import describe_machine
from histo_ray.cohort.patient_folds import draw_shared_folds, draw_target_folds
from histo_ray.labels.expression_labels import rank_normal
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.patient_heads import PatientData, predict_patient_repeat
from histo_ray.learn.statistics import adjust_p
from histo_ray.learn.targets.endpoint import compare_means, find_predictable
from histo_ray.learn.targets.target_scores import EncoderScores, score_encoder
from histo_ray.learn.targets.target_tests import test_difference
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
LEVEL, FOLDS, REPEATS, RESAMPLES = 0.05, 5, 10, 300
FACTORS, FEATURES = 10, 64
SHARES = (0.1, 0.2, 0.45)
"""Shares of positives, of mutations in turn."""


@dataclass(frozen=True)
class Cell:
    """One design."""

    kind: TargetKind
    patients: int = 200
    targets: int = 100
    strength: float = 0.0
    """Variance of the signal in a feature; that of noise is 1."""
    better: float = 0.0
    """How much larger the signal is in the features of b."""
    followed: int | None = None
    """Targets that the features follow; None: all."""


CELLS = {
    "expression, no signal": Cell(TargetKind.CONTINUOUS),
    "expression, weak": Cell(TargetKind.CONTINUOUS, strength=0.03),
    "expression, strong": Cell(TargetKind.CONTINUOUS, strength=0.15),
    "expression, 60 patients, weak": Cell(TargetKind.CONTINUOUS, patients=60, strength=0.05),
    "expression, b better in 70 of 100": Cell(
        TargetKind.CONTINUOUS, strength=0.03, better=0.35, followed=70
    ),
    "mutation, no signal": Cell(TargetKind.BINARY, targets=12),
    "mutation, weak": Cell(TargetKind.BINARY, targets=12, strength=0.05),
    "mutation, strong": Cell(TargetKind.BINARY, targets=12, strength=0.3),
    "mutation, b better in 8 of 12": Cell(
        TargetKind.BINARY, targets=12, strength=0.05, better=0.35, followed=8
    ),
}


def draw_truth(cell: Cell, rng: np.random.Generator, seed: int) -> tuple[TargetTruth, Floats]:
    """Labels in folds, and the scores that they come from, (P, T)."""
    weights = np.sqrt(np.arange(1, FACTORS + 1))
    hidden = rng.normal(size=(cell.patients, FACTORS)) / weights
    noise = rng.normal(size=(cell.patients, cell.targets))
    scores = hidden @ rng.normal(size=(FACTORS, cell.targets)) + noise
    names = tuple(f"T{number}" for number in range(cell.targets))
    alone = [str(number) for number in range(cell.patients)]
    if cell.kind is TargetKind.BINARY:
        cuts = [np.quantile(s, 1 - SHARES[n % len(SHARES)]) for n, s in enumerate(scores.T)]
        values = (scores > cuts).astype(np.float64)
        folds = draw_target_folds(values, names, FOLDS, REPEATS, seed, alone)
    else:
        values = rank_normal(scores)
        folds = draw_shared_folds(values, FOLDS, REPEATS, seed, alone)
    return TargetTruth("simulated", names, values, folds.fold_ids, kind=cell.kind), scores


def predict(truth: TargetTruth, features: Floats) -> npt.NDArray[np.float32]:
    """(R, P, T) out of fold by ridge, the quickest head, for classes too."""
    settings, found = PatientHeadSettings("ridge"), np.empty((REPEATS, *truth.values.shape))
    if truth.fold_ids.ndim == 2:
        data = PatientData(features, truth.values, truth.targets)
        for repeat, part in enumerate(truth.fold_ids):
            found[repeat] = predict_patient_repeat(data, part, settings).predicted
        return found.astype(np.float32)
    for number, name in enumerate(truth.targets):
        data = PatientData(features, truth.values[:, [number]], (name,))
        for repeat, part in enumerate(truth.fold_ids[number]):
            found[repeat, :, [number]] = predict_patient_repeat(data, part, settings).predicted.T
    return found.astype(np.float32)


def simulate(cell: Cell, seed: int) -> dict[str, float]:
    """What one cohort comes to."""
    rng = np.random.default_rng(seed)
    truth, hidden = draw_truth(cell, rng, seed)
    directions = rng.normal(size=(cell.targets, FEATURES))
    directions[cell.followed :] = 0 if cell.followed is not None else directions[cell.followed :]
    signal = hidden @ directions
    signal *= np.sqrt(cell.strength) / signal.std()
    a, b = (
        score_encoder(
            truth,
            predict(truth, signal * (1 + more) + rng.normal(size=signal.shape)),
            RESAMPLES,
            seed,
        )
        for more in (0.0, cell.better)
    )
    return describe_endpoint(truth, a, b) | describe_targets(truth, a, b)


def describe_endpoint(truth: TargetTruth, a: EncoderScores, b: EncoderScores) -> dict[str, float]:
    """Test the mean difference, now and before."""
    mean = compare_means(truth, a, b)
    fixed = np.nanmean(b.together - a.together, axis=1).std(ddof=1)
    return {
        "mean score of a": mean.score_a,
        "mean difference": mean.difference,
        "P < 0.05": float(mean.p < LEVEL),
        "before: bootstrap leaves out 0": float(abs(mean.difference) > 1.96 * fixed),
    }


def describe_targets(truth: TargetTruth, a: EncoderScores, b: EncoderScores) -> dict[str, float]:
    """Single targets, now and before."""
    p = test_difference(truth, b.by_fold - a.by_fold).p
    found, every = find_predictable(truth, a, b, p), adjust_p(p)
    with np.errstate(invalid="ignore"):
        return {
            "targets that both predict": float((found.q_both < LEVEL).sum()),
            "any target, q < 0.05": float((found.q_found < LEVEL).any()),
            "targets, q < 0.05": float((found.q_found < LEVEL).sum()),
            "before: any target, q < 0.05 over all": float((every < LEVEL).any()),
            "before: targets, q < 0.05 over all": float((every < LEVEL).sum()),
        }


def summarise(rows: list[dict[str, float]]) -> Mapping[str, float]:
    """Mean of each figure."""
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoint", description=__doc__)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS))
    args = parser.parse_args()
    print(json.dumps({"machine": describe_machine(), "simulations": args.simulations}), flush=True)
    for name in args.cells:
        cpu = time.process_time()
        rows = [simulate(CELLS[name], seed) for seed in range(args.simulations)]
        spent = round(time.process_time() - cpu, 1)
        design = asdict(CELLS[name])
        print(
            json.dumps({"cell": name, "design": design, **summarise(rows), "cpu_s": spent}),
            flush=True,
        )


if __name__ == "__main__":
    main()
