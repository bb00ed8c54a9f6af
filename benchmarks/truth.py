"""Are genes with signal found, and are those without called found as rarely as is said?

`python -m benchmarks.truth [--quick]`. Labels are real where HISTO_RAY_TEST_DATA is set (expression
of TCGA-LUAD, rank-normal), else drawn from a factor model; features are always synthetic. Some
genes shape the features; the patients of all others are permuted, each gene for itself. Two
encoders carry the same signal under independent noise: neither is better. All is tested by the
functions that evaluations use: shared folds, ridge with penalties chosen inside the training part,
permuted targets that are fitted again.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from histo_ray.cohort.patient_folds import draw_shared_folds
from histo_ray.labels.expression_labels import rank_normal
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.patient_heads import (
    PatientData,
    predict_patient_repeat,
)
from histo_ray.learn.statistics import (
    adjust_p,
    chance_statistic,
    corrected_t_test,
    count_as_paper,
    permutation_p,
    permute_targets,
    plain_t_test,
    score_auroc,
)
from histo_ray.learn.statistics.fold_tests import Correlation
from histo_ray.learn.targets.target_scores import EncoderScores, score_encoder
from histo_ray.learn.targets.target_tables import compare_encoders
from histo_ray.learn.targets.target_truth import Predictions, TargetTruth, score_folds
from histo_ray.types import TargetKind

CORRELATIONS: tuple[Correlation, ...] = ("training", "chance")
Floats = npt.NDArray[np.float64]
LEVEL = 0.05
SHARES = (0.1, 0.2, 0.45)
"""Shares of positives of mutations that features say nothing of."""


@dataclass(frozen=True)
class Design:
    """One simulation."""

    genes: int = 1555
    with_signal: int = 200
    features: int = 256
    strength: float = 0.03
    """Variance of the signal in a feature; that of noise is 1."""
    repeats: int = 10
    permutations: int = 2000
    mutations: int = 300


QUICK = Design(genes=300, with_signal=50, features=64, strength=0.03, repeats=2, permutations=400)


def read_targets(folder: str | None, patients: int = 453, genes: int = 1555) -> Floats:
    """(P, T) rank-normal expression: the real table in `folder`, or one with correlated genes."""
    if folder:
        path = Path(folder) / "tables" / "tcga_luad_expression.parquet"
        return rank_normal(pd.read_parquet(path).to_numpy(np.float64))
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(patients, 30)) / np.sqrt(np.arange(1, 31))
    return rank_normal(factors @ rng.normal(size=(30, genes)) + rng.normal(size=(patients, genes)))


def simulate(table: Floats, design: Design, seed: int) -> dict[str, float]:
    """Shares and counts of one simulation."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(table.shape[1])[: design.genes]
    values = table[:, chosen].copy()
    signal = values[:, : design.with_signal] @ rng.normal(
        size=(design.with_signal, design.features)
    )
    signal *= np.sqrt(design.strength) / signal.std()
    values[:, design.with_signal :] = rng.permuted(values[:, design.with_signal :], axis=0)
    folds = draw_shared_folds(values, 5, design.repeats, seed, [str(n) for n in range(len(values))])
    truth = TargetTruth(
        "expression", _names(values.shape[1]), values, folds.fold_ids, kind=TargetKind.CONTINUOUS
    )
    permuted = permute_targets(values, design.permutations, seed)
    mutated = rng.random((len(values), design.mutations)) < np.resize(SHARES, design.mutations)
    scores, found = dict[str, EncoderScores](), dict[str, float]()
    for name in "ab":
        features = signal + rng.normal(size=signal.shape)
        predicted = predict(features, np.hstack([values, permuted, mutated]), truth)
        own, null, chance = np.split(predicted, [len(chosen), len(chosen) + permuted.shape[1]], 2)
        null_statistic = np.stack(
            [
                chance_statistic(permuted, one, part)
                for one, part in zip(null, folds.fold_ids, strict=True)
            ]
        )
        scores[name] = score_encoder(truth, own, 100, seed, null_statistic)
        if name == "a":
            found |= describe_chance(truth, scores[name], design)
            found["P < 0.05, no signal, labels permuted against fixed predictions"] = _share(
                _against_fixed(truth, own, rng)[design.with_signal :]
            )
            for correlation in CORRELATIONS:
                found[f"P < 0.05, no signal, mutation, correlation of {correlation}"] = _share(
                    _test_mutations(truth, mutated.astype(np.float64), chance, correlation)
                )
    return found | describe_pair(truth, scores, design)


def predict(features: Floats, targets: Floats, truth: TargetTruth) -> npt.NDArray[np.float32]:
    """(R, P, T) out-of-fold predictions by ridge."""
    data = PatientData(features, targets, _names(targets.shape[1]))
    settings = PatientHeadSettings("ridge")
    repeats = [predict_patient_repeat(data, part, settings).predicted for part in truth.fold_ids]
    return np.stack(repeats).astype(np.float32)


def describe_chance(truth: TargetTruth, scores: EncoderScores, design: Design) -> dict[str, float]:
    """Test whether scores of one encoder are better than chance."""
    real = np.arange(len(truth.targets)) < design.with_signal
    sure = scores.q_chance < LEVEL
    two_sided = 2 * np.minimum(scores.p_paper, 1 - scores.p_paper)
    return {
        "power, P < 0.05": _share(scores.p_chance[real]),
        "power, q < 0.05": float(sure[real].mean()),
        "P < 0.05, no signal": _share(scores.p_chance[~real]),
        "false among q < 0.05": float(sure[~real].sum() / max(1, sure.sum())),
        "paper's P < 0.05, no signal": _share(scores.p_paper[~real]),
        "the same, two-sided": _share(two_sided[~real]),
        "mean score, no signal": float(scores.resampled.score[~real].mean()),
    }


def describe_pair(
    truth: TargetTruth, scores: dict[str, EncoderScores], design: Design
) -> dict[str, float]:
    """Test the difference of two encoders that are worth the same."""
    a, b = scores.values()
    pair = compare_encoders(truth, scores).to_pandas()
    paper = count_as_paper(a.p_paper, b.p_paper, a.resampled.score, b.resampled.score)
    chosen = (a.p_paper < LEVEL) | (b.p_paper < LEVEL)
    covered = ((pair["low"] <= 0) & (pair["high"] >= 0)).to_numpy()
    folds = (b.by_fold - a.by_fold).reshape(-1, len(truth.targets)).T
    tests = {
        "plain t-test": plain_t_test(folds).p,
        "corrected t-test, correlation of training": corrected_t_test(
            folds, *truth.counts.sizes, correlation="training"
        ).p,
        "corrected t-test, correlation of chance": pair["p_corrected"].to_numpy(),
    }
    found = {
        "paper: found": paper.found,
        "paper: found, but no signal": float(chosen[design.with_signal :].sum() / paper.found),
        "paper: share with b higher": paper.b_higher / paper.found,
        "paper: sign test P": float(stats.binomtest(paper.b_higher, paper.found).pvalue),
    }
    for kind, genes in (
        ("signal", slice(design.with_signal)),
        ("no signal", slice(design.with_signal, None)),
    ):
        for name, p in tests.items():
            found[f"difference, {kind}: P < 0.05, {name}"] = _share(p[genes])
        found[f"difference, {kind}: interval leaves out 0"] = float(1 - covered[genes].mean())
    for name, p in tests.items():
        found[f"difference: genes with q < 0.05, {name}"] = float((adjust_p(p) < LEVEL).sum())
    return found


def summarise(found: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, standard error, and range over simulations."""
    frame = pd.DataFrame(found)
    kinds = {"mean": frame.mean(), "error": frame.sem(), "least": frame.min(), "most": frame.max()}
    return {
        name: {kind: round(float(values[name]), 4) for kind, values in kinds.items()}
        for name in frame.columns
    }


def _against_fixed(truth: TargetTruth, predicted: Predictions, rng: np.random.Generator) -> Floats:
    """(T,) P by permuting labels while predictions stay, which is wrong."""
    order = rng.permuted(np.tile(np.arange(len(truth.values)), (len(truth.targets), 1)), axis=1).T
    moved = np.take_along_axis(truth.values, order, axis=0)
    observed, null = (
        np.mean(
            [
                chance_statistic(v, one, part)
                for one, part in zip(predicted, truth.fold_ids, strict=True)
            ],
            axis=0,
        )
        for v in (truth.values, moved)
    )
    return permutation_p(observed, null)


def _test_mutations(
    truth: TargetTruth, mutated: Floats, predicted: Predictions, correlation: Correlation
) -> Floats:
    """(M,) one-sided P of the folds' AUROC."""
    about = TargetTruth(
        "mutation", _names(mutated.shape[1]), mutated, truth.fold_ids, kind=TargetKind.BINARY
    )
    above = score_folds(about, predicted, score_auroc) - 0.5
    folds = above.reshape(-1, mutated.shape[1]).T
    sizes = about.counts.sizes
    return corrected_t_test(folds, *sizes, alternative="greater", correlation=correlation).p


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"gene {number}" for number in range(count))


def _share(p: Floats) -> float:
    return float((p < LEVEL).mean())


def main() -> None:
    """Print means over simulations as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth")
    parser.add_argument("--quick", action="store_true", help="small: does it run")
    parser.add_argument("--simulations", type=int, default=None, help="default: 12, quick: 4")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    folder = os.environ.get("HISTO_RAY_TEST_DATA")
    design = QUICK if args.quick else Design()
    began = time.monotonic()
    table = read_targets(folder)
    count = args.simulations or (4 if args.quick else 12)
    found = [simulate(table, design, args.seed + number) for number in range(count)]
    answer = {
        "labels": "TCGA-LUAD expression" if folder else "synthetic",
        "features": "synthetic",
        "simulations": count,
        "seed": args.seed,
        "design": asdict(design),
        "found": summarise(found),
        "sign test P < 0.05": float(np.mean([one["paper: sign test P"] < LEVEL for one in found])),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
