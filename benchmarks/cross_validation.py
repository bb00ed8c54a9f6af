"""How long nested cross-validation of linear heads takes, beside plain scikit-learn.

`python -m benchmarks.cross_validation [--quick] [--task expression mutation] [--penalty-by alo]`.
The paper's size:
453 patients, 2,048 features of two encoders, 5 folds x 50 repeats; 1,555 genes with ten penalties
each, ten mutations with six penalties chosen by five inner folds. Features are synthetic; labels
are real where HISTO_RAY_TEST_DATA points to them. JSON to stdout.

One process a core, one thread each, as on Ray. scikit-learn gets all cores for its threads and is
timed on a few fits; its times for the whole are extrapolated from those.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil
from scipy.stats import norm, rankdata
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histo_ray.learn.fold_data import PatientHeadSettings, PenaltyBy
from histo_ray.learn.heads.patient_logistic import LOGISTIC_PENALTIES
from histo_ray.learn.heads.ridge import RIDGE_PENALTIES
from histo_ray.learn.patient_heads import (
    PatientData,
    predict_patient_fold,
    predict_patient_repeat,
)

Floats = npt.NDArray[np.float64]
Parts = npt.NDArray[np.int32]
FOLDS, ENCODERS, SEED = 5, 2, 0
GENES_ALONE, FITS_ALONE = 5, 4
"""Genes for RidgeCV gene by gene; (gene, fold) pairs for logistic regression."""


@dataclass(frozen=True)
class Design:
    """What is measured."""

    features: tuple[npt.NDArray[np.float32], ...]
    """(P, D) an encoder."""
    targets: Floats
    """(P, T)."""
    parts: Parts
    """(R, P), or (T, R, P) where every target has folds of its own."""
    head: PatientHeadSettings
    labels: str
    """Real or synthetic."""


def make_features(targets: Floats, dim: int, signal: float, seed: int) -> npt.NDArray[np.float32]:
    """Correlated features, (P, dim), that know a little of every fifth target."""
    rng = np.random.default_rng(seed)
    known = targets[:, ::5]
    hidden = rng.normal(size=(len(targets), 60)) * np.logspace(0.7, -0.5, 60)
    values = hidden @ rng.normal(size=(60, dim)) + rng.normal(size=(len(targets), dim))
    values += signal / np.sqrt(known.shape[1]) * (known @ rng.normal(size=(known.shape[1], dim)))
    return values.astype(np.float32)


def read_labels(name: str, targets: int, patients: int) -> tuple[Floats, str]:
    """(P, T) and whether they are real; expression as normal scores of ranks."""
    folder = os.environ.get("HISTO_RAY_TEST_DATA")
    expression = name == "expression"
    if folder:
        tables = Path(folder) / "tables"
        table = (
            pd.read_parquet(tables / "tcga_luad_expression.parquet")
            if expression
            else pd.read_csv(tables / "tcga_luad_mutations.csv", index_col=0)
        )
        values = table.to_numpy(np.float64)[:patients, :targets]
        kind = "real TCGA-LUAD labels"
    else:
        rng = np.random.default_rng(SEED)
        values = rng.normal(size=(patients, targets))
        if not expression:
            values = (values > norm.ppf(np.linspace(0.5, 0.9, targets))).astype(np.float64)
        kind = "synthetic labels"
    if expression:
        values = norm.ppf((rankdata(values, axis=0) - 0.5) / len(values))
    return values, kind


def design_expression(quick: bool, genes: int) -> Design:
    """All genes share the folds of a repeat."""
    patients, dim, repeats = (120, 256, 2) if quick else (453, 2048, 50)
    targets, kind = read_labels("expression", min(genes, 40) if quick else genes, patients)
    rng = np.random.default_rng(SEED)
    parts = np.stack([rng.permutation(np.arange(patients) % FOLDS) for _ in range(repeats)])
    features = tuple(make_features(targets, dim, 1.0, seed) for seed in range(ENCODERS))
    return Design(features, targets, parts.astype(np.int32), PatientHeadSettings("ridge"), kind)


def design_mutation(quick: bool, genes: int) -> Design:
    """Every gene has stratified folds of its own."""
    patients, dim, repeats = (160, 256, 2) if quick else (453, 2048, 50)
    targets, kind = read_labels("mutation", min(genes, 3) if quick else genes, patients)
    parts = np.empty((targets.shape[1], repeats, patients), np.int32)
    for (gene, repeat), _ in np.ndenumerate(parts[..., 0]):
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED + repeat)
        for fold, (_, held) in enumerate(splitter.split(targets, targets[:, gene])):
            parts[gene, repeat, held] = fold
    features = tuple(make_features(targets, dim, 0.3, seed) for seed in range(ENCODERS))
    return Design(features, targets, parts, PatientHeadSettings("logistic"), kind)


def predict_all(design: Design) -> tuple[float, float, float]:
    """Every encoder and repeat, a process a core: (wall seconds, CPU seconds, mean inner score)."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes
    units = [
        (encoder, repeat)
        for repeat in range(design.parts.shape[-2])
        for encoder in range(len(design.features))
    ]
    cores = psutil.cpu_count() or 1
    with ProcessPoolExecutor(
        cores, get_context("spawn"), initializer=_hold, initargs=(design,)
    ) as pool:
        list(pool.map(_predict_unit, units[:cores]))  # so that processes are up
        began = time.perf_counter()
        found = list(pool.map(_predict_unit, units))
        wall = time.perf_counter() - began
    cpu, scores = zip(*found, strict=True)
    return wall, sum(cpu), float(np.mean(scores))


_HELD: list[Design] = []


def _hold(design: Design) -> None:
    _HELD[:] = [design]


def _predict_unit(unit: tuple[int, int]) -> tuple[float, float]:
    """(CPU seconds, mean inner score) of a repeat."""
    (design,), (encoder, repeat), began = _HELD, unit, time.process_time()
    answers = [
        predict_patient_repeat(data, parts, design.head, (SEED, repeat))
        for data, parts in _split_targets(design, encoder, repeat)
    ]
    score = float(np.nanmean(np.concatenate([a.inner_score for a in answers], axis=1)))
    return time.process_time() - began, score


def _split_targets(
    design: Design, encoder: int, repeat: int
) -> Iterator[tuple[PatientData, Parts]]:
    names = tuple(str(number) for number in range(design.targets.shape[1]))
    features = design.features[encoder]
    if design.parts.ndim == 2:
        yield PatientData(features, design.targets, names), design.parts[repeat]
        return
    for target, name in enumerate(names):
        column = design.targets[:, [target]]
        yield PatientData(features, column, (name,)), design.parts[target, repeat]


def time_call(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, what it gave)."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def hold(features: Any, rows: Any, tested: Any) -> Floats:
    """Features of the test patients within the range of those trained on, as ours are held."""
    trained = features[rows].astype(np.float64)
    held = np.clip(features[tested].astype(np.float64), trained.min(0), trained.max(0))
    return np.asarray(held)


def compare_ridge(design: Design) -> dict[str, Any]:
    """The first fold by RidgeCV, all genes and a few one by one."""
    data, parts = next(_split_targets(design, 0, 0))
    rows, tested = np.flatnonzero(parts != 0), np.flatnonzero(parts == 0)
    penalties = np.array(RIDGE_PENALTIES) * data.features.shape[1]
    mine = predict_patient_fold(data, parts, 0, design.head)

    def fit(columns: slice) -> tuple[Floats, Floats]:
        plain = make_pipeline(StandardScaler(), RidgeCV(penalties, alpha_per_target=True))
        plain.fit(data.features[rows].astype(np.float64), data.targets[rows, columns])
        predicted = plain.predict(hold(data.features, rows, tested))
        return predicted, np.asarray(plain[-1].alpha_)

    together, (predicted, chosen) = time_call(lambda: fit(slice(None)))
    alone, _ = time_call(lambda: [fit(slice(gene, gene + 1)) for gene in range(GENES_ALONE)])
    folds, genes = design.parts.shape[0] * FOLDS * ENCODERS, data.targets.shape[1]
    return {
        "ridgecv_all_genes_s": together * folds,
        "ridgecv_gene_by_gene_s": alone / GENES_ALONE * genes * folds,
        "largest_difference": float(np.abs(predicted - mine.predicted).max()),
        "same_penalty": float(np.isclose(chosen / data.features.shape[1], mine.choice).mean()),
    }


def compare_logistic(design: Design) -> dict[str, Any]:
    """A few genes' first folds by GridSearchCV over LogisticRegression."""
    seconds, same = 0.0, []
    differences, exactly = list[float](), list[float]()
    several = list(_split_targets(design, 0, 0))
    for data, parts in several[:FITS_ALONE]:
        rows, tested = np.flatnonzero(parts != 0), np.flatnonzero(parts == 0)
        labels, width = data.targets[:, 0], data.features.shape[1]
        mine = predict_patient_fold(data, parts, 0, design.head, (SEED, 0))
        seed = int(np.random.SeedSequence([SEED, 0, 0]).generate_state(1)[0])
        features = data.features[rows].astype(np.float64)
        scaler = StandardScaler().fit(features)
        train = scaler.transform(features)
        held = scaler.transform(hold(data.features, rows, tested))
        search = GridSearchCV(
            LogisticRegression(max_iter=20_000),
            {"C": [1 / (penalty * width) for penalty in LOGISTIC_PENALTIES]},
            scoring="roc_auc",
            cv=StratifiedKFold(design.head.inner_folds, shuffle=True, random_state=seed),
        )
        took, _ = time_call(lambda: search.fit(train, labels[rows]))  # noqa: B023
        seconds += took
        found = roc_auc_score(labels[tested], mine.predicted[:, 0])
        exact = LogisticRegression(C=search.best_params_["C"], tol=1e-8, max_iter=100_000)
        for plain, into in ((search, differences), (exact.fit(train, labels[rows]), exactly)):
            auroc = roc_auc_score(labels[tested], plain.predict_proba(held)[:, 1])
            into.append(abs(float(auroc) - float(found)))
        same.append(np.isclose(1 / search.best_params_["C"] / width, mine.choice[0]))
    fits = design.parts.shape[0] * design.parts.shape[1] * FOLDS * ENCODERS
    return {
        "grid_search_s": seconds / len(differences) * fits,
        "pairs_timed": len(differences),
        "largest_auroc_difference": max(differences),
        "largest_auroc_difference_at_tol_1e-8": max(exactly),
        "same_penalty": float(np.mean(same)),
    }


def measure(task: str, quick: bool, genes: int, penalty_by: PenaltyBy) -> dict[str, Any]:
    """Time one task and compare it with scikit-learn, which has no penalties by leave-one-out."""
    expression = task == "expression"
    design = (design_expression if expression else design_mutation)(quick, genes)
    compared: dict[str, Any] = {}
    if expression or penalty_by is PenaltyBy.INNER_FOLDS:
        compared = (compare_ridge if expression else compare_logistic)(design)
    design = replace(design, head=replace(design.head, penalty_by=penalty_by))
    load = psutil.getloadavg()[0]
    seconds, cpu_seconds, inner = predict_all(design)
    return {
        "patients": len(design.targets),
        "features": design.features[0].shape[1],
        "targets": design.targets.shape[1],
        "repeats": design.parts.shape[-2],
        "folds": FOLDS,
        "encoders": ENCODERS,
        "penalty_by": str(penalty_by),
        "penalties": len(RIDGE_PENALTIES if expression else LOGISTIC_PENALTIES),
        "labels": design.labels,
        "load_before": load,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "mean_inner_score": inner,
        "scikit_learn": compared,
        "times_faster": {
            name.removesuffix("_s"): value / seconds
            for name, value in compared.items()
            if name.endswith("_s")
        },
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cross_validation")
    parser.add_argument("--quick", action="store_true", help="small: does it run, not how fast")
    parser.add_argument("--task", nargs="+", default=["expression", "mutation"])
    parser.add_argument("--genes", type=int, default=1555, help="of expression")
    parser.add_argument("--mutations", type=int, default=10)
    parser.add_argument("--penalty-by", choices=list(PenaltyBy), default=PenaltyBy.INNER_FOLDS)
    args = parser.parse_args(argv)
    counts = {"expression": args.genes, "mutation": args.mutations}
    penalty_by = PenaltyBy(args.penalty_by)
    answer = {task: measure(task, args.quick, counts[task], penalty_by) for task in args.task}
    print(json.dumps({"cores": psutil.cpu_count()} | answer, indent=1))


if __name__ == "__main__":
    main()
