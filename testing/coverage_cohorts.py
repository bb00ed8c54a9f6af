"""Cohorts of which the truth is known, and what evaluations say of them: intervals and tests.

Patients have a vector of `DIM` independent normal features, and labels that depend on a random
direction in it. An encoder sees the vector under noise of its own; `a` and `b` under the same
amount, `better` under less. All is computed by the functions that evaluations use: folds, heads
with their inner choice, scores, intervals, tests. The truth is the score that heads trained on as
many patients as a training part has get on many new patients, averaged over many cohorts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.patient_folds import OutcomeFolds, draw_shared_folds, draw_target_folds
from histo_ray.evaluate.patients.patient_units import predict_repeat
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.mil.fold import MilFold, predict_mil_fold
from histo_ray.learn.patient_heads import PatientData, predict_patient_fold
from histo_ray.learn.statistics import corrected_t_test, prediction_noise
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import EncoderScores, score_encoder
from histo_ray.learn.targets.target_tables import compare_encoders
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind
from testing.coverage_mil import SETTINGS, draw_bags, predict_bags

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
Row = dict[str, float | int | str]

DIM, N_FOLDS, RESAMPLES, NEW_PATIENTS = 32, 5, 400, 3000
EXPLAINED = {"no": 0.0, "weak": 0.15, "strong": 0.8, "sure": 0.99}
"""Share of a label's variance that the vector explains."""
NOISE = {"a": 0.7, "b": 0.7, "better": 0.3}
"""Standard deviation of an encoder's own noise; that of a feature is 1."""
PREVALENCE = 0.3
"""Share of positives."""
KINDS = {"expression": TargetKind.CONTINUOUS, "mutation": TargetKind.BINARY}
MIL = "mil"
EQUAL, BETTER = ("a", "b"), ("a", "better")


@dataclass(frozen=True)
class Cell:
    """One kind of cohort."""

    task: str
    head: str
    signal: str
    patients: int
    cohorts: int
    targets: int
    """Targets of a cohort, each with a direction of its own."""
    repeats: int = 10
    truths: int = 40
    """Cohorts that the truth is the mean of."""

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.task}-{self.head}-{self.signal}-{self.patients}"


def draw_patients(
    cell: Cell, patients: int, rng: np.random.Generator, directions: Floats
) -> tuple[Floats, dict[str, Vectors]]:
    """Draw labels (P, T), and features (P, D) by encoder, of patients and (D, T) directions."""
    vectors = rng.normal(size=(patients, DIM))
    share = EXPLAINED[cell.signal]
    noise = rng.normal(size=(patients, directions.shape[1]))
    values = np.sqrt(share) * vectors @ directions + np.sqrt(1 - share) * noise
    if cell.task == "mutation":
        values = (values > np.quantile(values, 1 - PREVALENCE, axis=0)).astype(np.float64)
    features = {
        name: (vectors + sd * rng.normal(size=vectors.shape)).astype(np.float32)
        for name, sd in NOISE.items()
    }
    return values, features


def simulate_cohort(cell: Cell, seed: int) -> Iterator[Row]:
    """Yield what an evaluation says of one cohort: a row a score, and a row a difference."""
    rng = np.random.default_rng([seed, cell.patients, 0])
    values, features = draw_patients(cell, cell.patients, rng, _directions(cell, rng))
    truth = _make_truth(cell, values, seed)
    matrix = TargetMatrix(values, truth.targets, truth.fold_ids.astype(np.int32), None)
    scores, predicted = dict[str, EncoderScores](), dict[str, npt.NDArray[np.float32]]()
    for name in encoders_of(cell):
        predicted[name] = _predict(cell, features[name], matrix, seed)
        scores[name] = score_encoder(truth, predicted[name], RESAMPLES, seed)
    yield from describe_scores(truth, scores, predicted)
    yield from describe_differences(truth, scores)


def encoders_of(cell: Cell) -> tuple[str, ...]:
    """Name the encoders; without signal none is better."""
    return ("a", "b") if cell.signal == "no" else ("a", "b", "better")


def describe_scores(
    truth: TargetTruth,
    scores: Mapping[str, EncoderScores],
    predicted: Mapping[str, npt.NDArray[np.float32]],
) -> Iterator[Row]:
    """Yield each score with its interval, the one before, and the other candidates' parts."""
    train, test = truth.counts.sizes
    for name, one in scores.items():
        before = one.resampled.interval()
        folds = one.by_fold.reshape(-1, len(truth.targets)).T
        tested = corrected_t_test(folds, train, test, correlation="chance")
        noise = prediction_noise(predicted[name], test / (train + test))
        for at in range(len(truth.targets)):
            yield {
                "of": name,
                "target": at,
                "value": one.resampled.score[at],
                "low": one.interval.low[at],
                "high": one.interval.high[at],
                "before_low": before[0][at],
                "before_high": before[1][at],
                "test_low": tested.low[at],
                "test_high": tested.high[at],
                "error": one.resampled.error[at],
                "noise": noise[at],
            }


def describe_differences(truth: TargetTruth, scores: Mapping[str, EncoderScores]) -> Iterator[Row]:
    """Yield the differences of equal encoders, and of one that is better."""
    for a, b in (EQUAL, BETTER):
        if b not in scores:
            continue
        pair = {name: scores[name] for name in (a, b)}
        before = scores[b].resampled.minus(scores[a].resampled).interval()
        for at, row in enumerate(compare_encoders(truth, pair).to_pylist()):
            yield {
                "of": f"{b} - {a}",
                "target": at,
                "value": row["difference"],
                "low": row["low"],
                "high": row["high"],
                "p": row["p_corrected"],
                "before_low": before[0][at],
                "before_high": before[1][at],
            }


def measure_truth(cell: Cell, seed: int) -> dict[str, float]:
    """Mean score on new patients of heads trained on a training part's number of patients."""
    trained = round(cell.patients * (N_FOLDS - 1) / N_FOLDS)
    metric = METRICS[KINDS[cell.task]]
    found: dict[str, list[Floats]] = {name: [] for name in encoders_of(cell)}
    for number in range(cell.truths):
        rng = np.random.default_rng([seed, cell.patients, 1, number])
        directions = _directions(cell, rng)
        parts = [draw_patients(cell, n, rng, directions) for n in (trained, NEW_PATIENTS)]
        values = np.concatenate([part[0] for part in parts])
        fold_ids = np.repeat([[1, 0]], [trained, NEW_PATIENTS], axis=1)[0]
        truth = _new_patients(cell, parts[1][0])
        for name in found:
            features = np.concatenate([part[1][name] for part in parts])
            predicted = _predict_new(cell, features, values, fold_ids, number)
            found[name].append(metric.score(truth, predicted[None])[0, 0])
    return {name: float(np.mean(scores)) for name, scores in found.items()}


def _predict(
    cell: Cell, features: Vectors, matrix: TargetMatrix, seed: int
) -> npt.NDArray[np.float32]:
    """(R, P, T) out of fold."""
    if cell.head == MIL:
        bags, folds = draw_bags(features, seed), matrix.fold_ids_of(0)
        made = [predict_bags(bags, matrix.targets, ids, seed + at) for at, ids in enumerate(folds)]
        return np.stack(made).astype(np.float32)
    settings = PatientHeadSettings(cell.head)
    repeats = [
        predict_repeat(features, matrix, repeat, settings, seed) for repeat in range(matrix.repeats)
    ]
    return np.stack([one.predicted for one in repeats]).astype(np.float32)


def _predict_new(
    cell: Cell, features: Vectors, values: Floats, fold_ids: npt.NDArray[np.integer], seed: int
) -> Floats:
    """(M, T) patients of fold 0, by heads trained on fold 1."""
    if cell.head == MIL:
        bags = draw_bags(features, seed)
        found = predict_mil_fold(MilFold(bags, values, fold_ids, 0, SETTINGS, seed))
        return found.predicted
    data = PatientData(features, values, tuple(map(str, range(values.shape[1]))))
    return predict_patient_fold(data, fold_ids, 0, PatientHeadSettings(cell.head)).predicted


def _directions(cell: Cell, rng: np.random.Generator) -> Floats:
    drawn = rng.normal(size=(DIM, cell.targets))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=0))


def _make_truth(cell: Cell, values: Floats, seed: int) -> TargetTruth:
    names = tuple(f"gene {number}" for number in range(values.shape[1]))
    alone = [str(number) for number in range(len(values))]
    folds: OutcomeFolds
    if cell.task == "mutation":
        folds = draw_target_folds(values, names, N_FOLDS, cell.repeats, seed, alone)
    else:
        folds = draw_shared_folds(values, N_FOLDS, cell.repeats, seed, alone)
    return TargetTruth(cell.task, names, values, folds.fold_ids, kind=KINDS[cell.task])


def _new_patients(cell: Cell, values: Floats) -> TargetTruth:
    """New patients as one fold."""
    names = tuple(f"gene {number}" for number in range(values.shape[1]))
    fold_ids = np.zeros((1, len(values)), np.int32)
    return TargetTruth(cell.task, names, values, fold_ids, kind=KINDS[cell.task])
