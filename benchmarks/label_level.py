"""How often tests of label columns reject on noise: `python -m benchmarks.label_level`.

Labels of each kind are drawn at random, features of two encoders are noise. Each column is
predicted by the head of its kind in repeated cross-validation, coded, scored and tested as
`evaluate label` does it, against chance and between the encoders. A test at 5 % should reject in
5 % of columns.

The penalty is fixed, and all columns of a fold are solved at once by Newton's method, which is some
thirty times quicker than the program's heads; `--check` holds the predictions against these.

Columns of one cohort share their features and so are not independent: the Monte-Carlo error is
that of the mean over cohorts.
"""

import argparse
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from threadpoolctl import threadpool_limits

from histo_ray.cohort.column_folds import draw_column_folds
from histo_ray.evaluate.patients.patient_units import predict_repeat
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.targets.class_codings import OutputLayout
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_tests import test_above_chance, test_difference
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
LEVEL = 0.05
STEPS = 8
"""Rounds of Newton's method from 0; it is at rest by then, as penalties on noise are strong."""


class Drawn(NamedTuple):
    """How labels of a kind are drawn, and what predicts them."""

    shares: tuple[float, ...]
    """Shares of the classes; empty: normal numbers."""
    head: str
    penalty: float
    """Where none is chosen; times the number of features."""


KINDS: Mapping[TargetKind, Drawn] = {
    TargetKind.BINARY: Drawn((0.7, 0.3), "logistic", 1.0),
    TargetKind.MULTICLASS: Drawn((0.5, 0.3, 0.2), "logistic", 1.0),
    TargetKind.ORDINAL: Drawn((0.3, 0.3, 0.25, 0.15), "logistic", 1.0),
    TargetKind.CONTINUOUS: Drawn((), "ridge", 10.0),
}


class Setting(NamedTuple):
    """Size of the cohorts and of the cross-validation."""

    patients: int
    features: int
    columns: int
    folds: int
    repeats: int


def draw_labels(kind: TargetKind, setting: Setting, rng: np.random.Generator) -> Floats:
    """Draw (P, T) labels that nothing predicts; classes in shares that are exact."""
    shape = (setting.patients, setting.columns)
    shares = KINDS[kind].shares
    if not shares:
        return rng.normal(size=shape)
    ends = np.round(np.cumsum(shares) * setting.patients)
    ordered = np.searchsorted(ends, np.arange(setting.patients), side="right").astype(np.float64)
    return np.stack([rng.permutation(ordered) for _ in range(setting.columns)], axis=1)


def test_cohort(kind: TargetKind, setting: Setting, seed: int) -> tuple[Floats, Floats]:
    """P values of the columns of one cohort: against chance (2 T,), between encoders (T,)."""
    rng = np.random.default_rng([seed, *map(ord, kind.value)])
    labels = draw_labels(kind, setting, rng)
    names = tuple(f"c{number}" for number in range(setting.columns))
    classes = tuple(tuple(map(str, range(len(KINDS[kind].shares)))) for _ in names)
    people = [str(number) for number in range(setting.patients)]
    folds = draw_column_folds(kind, labels, names, setting.folds, setting.repeats, seed, people)
    layout = OutputLayout(kind, names, classes)
    truth = TargetTruth("label", names, labels, folds.fold_ids, kind=kind, classes=classes)
    matrix = TargetMatrix(
        layout.encode(labels),
        tuple(output.name for output in layout.outputs),
        layout.repeat_targets(folds.fold_ids),
        None,
    )
    metric = METRICS[kind]
    scores = []
    for _ in range(2):
        features = rng.normal(size=(setting.patients, setting.features)).astype(np.float32)
        predicted = predict_outputs(kind, features, matrix)
        scores.append(metric.score(truth, layout.decode(predicted)))
    above = np.concatenate([test_above_chance(truth, one - metric.chance).p for one in scores])
    return above, test_difference(truth, scores[1] - scores[0]).p


test_cohort.__test__ = False  # type: ignore[attr-defined]


def predict_outputs(
    kind: TargetKind, features: npt.NDArray[np.float32], matrix: TargetMatrix
) -> Floats:
    """Predict (R, P, O) as the head of a kind does with its fixed penalty."""
    outputs, wide = matrix.targets, features.astype(np.float64)
    predicted = np.full((matrix.repeats, *outputs.shape), np.nan)
    for repeat, fold in np.ndindex(matrix.repeats, matrix.n_folds):
        tested = matrix.fold_ids[:, repeat] == fold  # (O, P)
        scaled = standardise(wide, ~tested)
        weights, bias = solve(kind, scaled, outputs.T, ~tested)
        values = np.einsum("opd,od->op", scaled, weights) + bias[:, None]
        if KINDS[kind].head == "logistic":
            values = expit(values)
        predicted[repeat] = np.where(tested.T, values.T, predicted[repeat])
    return predicted


def standardise(features: Floats, trained: npt.NDArray[np.bool_]) -> Floats:
    """Standardise (P, D) by the training part of each output, (O, P, D), held within its range."""
    count = trained.sum(1)[:, None]
    mean = trained @ features / count
    sd = np.sqrt(trained @ features**2 / count - mean**2)
    inside = trained[:, :, None]
    low = np.where(inside, features, np.inf).min(1)
    high = np.where(inside, features, -np.inf).max(1)
    held = np.clip(features, low[:, None], high[:, None])
    return np.asarray((held - mean[:, None]) / sd[:, None])


def solve(
    kind: TargetKind, scaled: Floats, labels: Floats, trained: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Fit (O, D) weights and (O,) biases, which are not penalised, by Newton's method."""
    count, _, dim = scaled.shape
    logistic = KINDS[kind].head == "logistic"
    penalty = np.diag([KINDS[kind].penalty * dim] * dim + [0.0])
    design = np.concatenate([scaled, np.ones((*scaled.shape[:2], 1))], axis=2)
    found = np.zeros((count, dim + 1))
    for _ in range(STEPS if logistic else 1):
        values = np.einsum("opd,od->op", design, found)
        fitted = expit(values) if logistic else values
        curvature = np.where(trained, fitted * (1 - fitted) if logistic else 1.0, 0.0)
        rest = np.where(trained, labels - fitted, 0.0)
        gradient = np.einsum("opd,op->od", design, rest) - found @ penalty
        hessian = design.transpose(0, 2, 1) @ (design * curvature[:, :, None]) + penalty
        found += np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    return found[:, :dim], found[:, dim]


def check(kind: TargetKind, setting: Setting, seed: int) -> float:
    """Largest difference from the predictions of the program's own head, in one cohort."""
    rng = np.random.default_rng(seed)
    labels = draw_labels(kind, setting, rng)
    names = tuple(f"c{number}" for number in range(setting.columns))
    classes = tuple(tuple(map(str, range(len(KINDS[kind].shares)))) for _ in names)
    people = [str(number) for number in range(setting.patients)]
    folds = draw_column_folds(kind, labels, names, setting.folds, 1, seed, people)
    layout = OutputLayout(kind, names, classes)
    outputs = tuple(output.name for output in layout.outputs)
    ids = layout.repeat_targets(folds.fold_ids)
    matrix = TargetMatrix(layout.encode(labels), outputs, ids, None)
    features = rng.normal(size=(setting.patients, setting.features)).astype(np.float32)
    settings = PatientHeadSettings(KINDS[kind].head, (KINDS[kind].penalty,), 2)
    own = predict_repeat(features, matrix, 0, settings, seed).predicted
    return float(np.nanmax(np.abs(own - predict_outputs(kind, features, matrix)[0])))


def describe(rejected: list[float]) -> str:
    """Share of rejections in percent, with the Monte-Carlo error of the mean over cohorts."""
    shares = 100 * np.array(rejected)
    return f"{shares.mean():.1f} ± {shares.std(ddof=1) / np.sqrt(len(shares)):.1f}"


def main() -> None:
    """Print a table of levels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=50)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="hold predictions against the heads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=[kind.value for kind in KINDS])
    args = parser.parse_args()
    setting = Setting(args.patients, args.features, args.columns, args.folds, args.repeats)
    if args.check:
        for kind in KINDS:
            print(f"{kind}: largest difference {check(kind, setting, args.seed):.1e}")
        return
    print(f"{setting}, {args.cohorts} cohorts, seeds from {args.seed}")
    print("| kind | P < 0.05 against chance, % | P < 0.05 between encoders, % | seconds |")
    print("|---|---|---|---|")
    for kind in map(TargetKind, args.kind or KINDS):
        began = time.monotonic()
        above: list[float] = []
        between: list[float] = []
        with threadpool_limits(1):
            for number in range(args.cohorts):
                one, other = test_cohort(kind, setting, args.seed + number)
                above.append(float(np.mean(one < LEVEL)))
                between.append(float(np.mean(other < LEVEL)))
        seconds = time.monotonic() - began
        print(f"| {kind} | {describe(above)} | {describe(between)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
