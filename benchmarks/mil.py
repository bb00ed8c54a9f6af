"""When attention over tiles pays: gated attention MIL against mean pooling, on made-up patients.

`python -m benchmarks.mil [--quick]`. In the first two tasks one tile of fifty carries the label, in
the last all do. Both heads are evaluated on the same folds of the same patients; the interval is
that of the paired t-test over independently drawn cohorts. The settings of MIL are its defaults,
which were tuned on cohorts of other seeds (1000 and up).
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import ttest_1samp
from sklearn.metrics import roc_auc_score

from histo_ray.cohort.folds import (
    draw_folds,
)
from histo_ray.learn.fold_data import FoldPrediction, PatientHeadSettings
from histo_ray.learn.mil.bags import Bags, measure_bags
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.patient_heads import (
    PatientData,
    predict_patient_fold,
)

Floats = npt.NDArray[np.float64]
TASKS = {
    "rare": "2 % of a positive's tiles look different",
    "kind": "2 % of everybody's tiles are of a kind that shows the label",
    "all": "every tile shows the label, faintly",
}
RARE, SHIFT, FAINT, BETWEEN = 0.02, 5.0, 0.15, 0.3
"""Share of the tiles that stand out, their shift, that of every tile of `all`, and the sd between
patients; the sd of a patient's tiles is 1."""


class Size(NamedTuple):
    """Size of a cohort."""

    patients: int = 200
    tiles: int = 200
    """Mean; a patient has between half and one and a half times as many."""
    dim: int = 64
    folds: int = 5


class Scores(NamedTuple):
    """AUROC of out-of-fold predictions on one cohort, and what MIL took."""

    mil: float
    mean: float
    epochs: float
    """Mean over folds."""
    seconds: float
    """CPU of a fold."""


def make_cohort(task: str, size: Size, seed: int) -> tuple[Bags, Floats]:
    """Half of the patients are positive; features are correlated and of different scales.

    Args:
        task: Of `TASKS`.
        size: Of the cohort.
        seed: Of everything.

    Returns:
        Bags and (P, 1) labels.
    """
    random = np.random.default_rng(seed)
    mixing = np.linalg.qr(random.normal(size=(size.dim, size.dim)))[0]
    scale = np.linspace(0.5, 3, size.dim)
    labels = (np.arange(size.patients) % 2).astype(np.float64)
    bags = []
    for label in labels:
        count = int(random.integers(size.tiles // 2, size.tiles * 3 // 2))
        tiles = random.normal(size=(count, size.dim))
        tiles += BETWEEN * random.normal(size=size.dim)
        special = random.choice(count, max(1, round(RARE * count)), replace=False)
        if task == "rare":
            tiles[special, 0] += SHIFT * label
        elif task == "kind":
            tiles[special, 0] += SHIFT
            tiles[special, 1] += SHIFT * (label - 0.5)
        else:
            tiles[:, :2] += FAINT * (2 * label - 1)
        bags.append((tiles @ mixing * scale + 1).astype(np.float16))
    return measure_bags(bags), labels[:, None]


def evaluate_cohort(task: str, size: Size, seed: int, settings: MilSettings) -> Scores:
    """Both heads on one cohort, cross-validated on the same folds, on one thread."""
    import torch

    from histo_ray.learn.mil.fold import MilFold, predict_mil_fold

    torch.set_num_threads(1)
    bags, labels = make_cohort(task, size, seed)
    parts = draw_folds([str(label) for label in labels[:, 0]], size.folds, 1, seed).fold_ids[0]
    data = PatientData(bags.means, labels, (task,))
    logistic = PatientHeadSettings(head="logistic")

    def cross_validate(predict: Callable[[int], FoldPrediction]) -> tuple[float, float]:
        """AUROC of all patients, and the mean of what was chosen."""
        predicted = np.empty(len(labels))
        choices = []
        for fold in range(size.folds):
            answer = predict(fold)
            predicted[parts == fold] = answer.predicted[:, 0]
            choices.append(float(answer.choice[0]))
        return float(roc_auc_score(labels[:, 0], predicted)), float(np.mean(choices))

    mean, _ = cross_validate(
        lambda fold: predict_patient_fold(data, parts, fold, logistic, (seed,))
    )
    began = time.process_time()
    mil, epochs = cross_validate(
        lambda fold: predict_mil_fold(MilFold(bags, labels, parts, fold, settings, seed))
    )
    return Scores(mil, mean, epochs, (time.process_time() - began) / size.folds)


def summarise(task: str, scores: Sequence[Scores]) -> dict[str, Any]:
    """Means over cohorts, and the paired difference with its 95 % interval."""
    mil, mean, epochs, seconds = np.array(scores).T
    low, high = ttest_1samp(mil - mean, 0).confidence_interval(0.95)
    return {
        "task": TASKS[task],
        "mil_auroc": round(float(mil.mean()), 3),
        "mean_auroc": round(float(mean.mean()), 3),
        "difference": round(float((mil - mean).mean()), 3),
        "interval": [round(float(low), 3), round(float(high), 3)],
        "mil_beats_mean": bool(low > 0),
        "as_wanted": bool((low > 0) == (task != "all")),
        "cohorts": {"mil": mil.round(3).tolist(), "mean": mean.round(3).tolist()},
        "epochs": round(float(epochs.mean()), 1),
        "cpu_s_per_fold": round(float(seconds.mean()), 2),
    }


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mil", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small: does it run, not how well")
    parser.add_argument("--cohorts", type=int, default=8, help="of each task (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the first cohort")
    parser.add_argument("--members", type=int, default=1, help="of a MIL head")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    size, settings = Size(), MilSettings(members=args.members)
    if args.quick:
        size = Size(patients=40, tiles=60, dim=16, folds=2)
        settings = MilSettings(members=args.members, epochs=5)
        args.cohorts = 2
    began = time.monotonic()
    seeds = range(args.seed, args.seed + args.cohorts)
    jobs = [(task, size, seed, settings) for task, seed in product(TASKS, seeds)]
    with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool:
        scores = list(pool.map(evaluate_cohort, *zip(*jobs, strict=True)))
    answer = {
        task: summarise(task, [s for s, job in zip(scores, jobs, strict=True) if job[0] == task])
        for task in TASKS
    }
    print(
        json.dumps(
            {
                **vars(args),
                "size": size._asdict(),
                "settings": settings.model_dump(),
                "tasks": answer,
                "seconds": round(time.monotonic() - began, 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
