"""Penalties by approximate leave-one-out beside inner folds: AUROC of test parts and CPU seconds.

`python -m benchmarks.penalty_choice [--folds 50] [--signal 0.3 1.5]`. Ten mutations, of real
TCGA-LUAD patients where HISTO_RAY_TEST_DATA points to them, and synthetic features of two encoders
with a weak and a stronger signal: twenty targets. Both ways see the same folds, in turn, in one
process. The goal: a mean AUROC within 0.003. JSON to stdout.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from sklearn.model_selection import StratifiedKFold

from benchmarks.cross_validation import make_features, read_labels
from histo_ray.learn.fold_data import PatientHeadSettings, PenaltyBy
from histo_ray.learn.heads.patient_logistic import rank_auroc
from histo_ray.learn.patient_heads import PatientData, predict_patient_fold

PATIENTS, FOLDS, ENCODERS = 453, 5, 2
Floats = npt.NDArray[np.float64]


def score_folds(
    features: npt.NDArray[np.float32], labels: Floats, folds: int, name: str
) -> Iterator[tuple[list[float], list[float], list[float]]]:
    """AUROC of the test part, CPU seconds and log10 of the penalty of each way, fold by fold."""
    data = PatientData(features, labels[:, None], (name,))
    settings = PatientHeadSettings("logistic")
    ways = [replace(settings, penalty_by=way) for way in PenaltyBy]
    for repeat in range(folds // FOLDS):
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat)
        parts = np.empty(len(labels), np.int32)
        for fold, (_, held) in enumerate(splitter.split(features, labels)):
            parts[held] = fold
        for fold in range(FOLDS):
            aurocs, seconds, penalties = [], [], []
            for way in ways:
                began = time.process_time()
                found = predict_patient_fold(data, parts, fold, way, (0, repeat))
                seconds.append(time.process_time() - began)
                aurocs.append(float(rank_auroc(labels[parts == fold], found.predicted)[0]))
                penalties.append(float(np.log10(found.choice[0])))
            yield aurocs, seconds, penalties


def measure(signal: float, folds: int, dim: int) -> dict[str, Any]:
    """Compare both ways at one strength of the signal."""
    labels, kind = read_labels("mutation", 10, PATIENTS)
    rows, by_target = [], []
    for encoder in range(ENCODERS):
        features = make_features(labels, dim, signal, encoder)
        for gene in range(labels.shape[1]):
            found = np.array(list(score_folds(features, labels[:, gene], folds, f"G{gene}")))
            rows.append(found)
            by_target.append(float(np.diff(found[:, 0].mean(0))[0]))
    every = np.concatenate(rows)
    inner, alo = every[:, 0].mean(0)
    return {
        "labels": kind,
        "features": f"synthetic, {dim}",
        "targets": len(by_target),
        "folds_each": folds,
        "auroc_inner_folds": inner,
        "auroc_alo": alo,
        "difference": alo - inner,
        "difference_sd_over_targets": float(np.std(by_target, ddof=1)),
        "largest_difference_of_a_target": float(np.abs(by_target).max()),
        "same_penalty": float((every[:, 2, 0] == every[:, 2, 1]).mean()),
        "mean_log10_penalty": every[:, 2].mean(0).tolist(),
        "cpu_seconds": every[:, 1].sum(0).tolist(),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.penalty_choice")
    parser.add_argument("--folds", type=int, default=50, help="of each target (default: 50)")
    parser.add_argument("--signal", type=float, nargs="+", default=[0.3, 1.5])
    parser.add_argument("--dim", type=int, default=2048, help="features")
    args = parser.parse_args()
    answer = {f"signal {s:g}": measure(s, args.folds, args.dim) for s in args.signal}
    print(json.dumps({"load": psutil.getloadavg()[0]} | answer, indent=1))


if __name__ == "__main__":
    main()
