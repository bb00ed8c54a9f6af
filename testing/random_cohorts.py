"""Cohorts whose labels and features are drawn at random, and the P values that tests give them.

Patients lie at few or many sites that are kept whole in one fold. All is computed by the functions
that evaluations use: folds, heads, scores, tests and corrections. Mutation is predicted by ridge
regression towards 0 and 1 in place of logistic regression, which would take hours; the tests see
scores of folds only. Labels of mutation and tissue, and their folds, are drawn once for all
cohorts, encoders anew for each; tissue has five scores a labelling, by least squares with its
largest penalty.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import (
    Folds,
    draw_folds,
)
from histo_ray.cohort.patient_folds import draw_shared_folds, draw_target_folds
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.patient_heads import (
    PatientData,
    predict_patient_fold,
)
from histo_ray.learn.statistics import adjust_p, chance_statistic, permute_targets
from histo_ray.learn.targets.target_scores import score_encoder
from histo_ray.learn.targets.target_tables import compare_encoders
from histo_ray.learn.targets.target_tests import degrees_of_freedom
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.learn.tiles.tile_heads import (
    EmbeddedTiles,
    TileHeadSettings,
    predict_tile_fold,
    start_tile_head,
)
from histo_ray.learn.tiles.tissue_tables import TileTruth, tile_folds
from histo_ray.learn.tiles.tissue_tests import test_folds
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
DIM = 16
PERMUTED = 500
LEVEL = 0.05


@dataclass(frozen=True)
class Design:
    """What is simulated."""

    task: str
    sites: int
    folds: int
    targets: int = 50
    cohorts: int = 8
    repeats: int = 10
    patients: int = 60
    strength: float = 0.0
    """Share of a label's variance that the features explain; 0: none."""


@dataclass
class Found:
    """P values of all cohorts, a row each: (cohorts, targets)."""

    splits: list[float]
    df: list[float]
    chance: list[Floats]
    difference: list[Floats]


def simulate(design: Design, seed: int = 0) -> Found:
    """P values of noise, or of signal where `design.strength` says so."""
    found = Found([], [], [], [])
    if design.task == "tissue":
        targets = [
            _draw_tissue(design, np.random.default_rng([seed, n])) for n in range(design.targets)
        ]
        for cohort in range(design.cohorts):
            _test_tissue(design, targets, np.random.default_rng([seed, cohort, 1]), found)
        return found
    for cohort in range(design.cohorts):
        rng = np.random.default_rng([seed, cohort])
        own, others = (rng.normal(size=(design.patients, DIM)) for _ in range(2))
        if cohort == 0 or design.task != "mutation" or design.strength > 0:
            truth = _draw_truth(design, own, rng)
        _test_targets(design, truth, own, others, found)
    return found


def summarise(found: Found) -> dict[str, float]:
    """Shares of P < 0.05 among P values that were given, and numbers of q < 0.05."""
    known = [df for df in found.df if not np.isnan(df)]
    row = {
        "splits": float(np.median(found.splits)),
        "df": float(np.median(known)) if known else float("nan"),
    }
    for name, cohorts in (("chance", found.chance), ("difference", found.difference)):
        p = np.concatenate(cohorts) if cohorts else np.empty(0)
        given = p[~np.isnan(p)]
        row[f"{name}_given"] = len(given)
        row[f"{name}_share"] = float((given < LEVEL).mean()) if len(given) else float("nan")
        row[f"{name}_found"] = sum(float((adjust_p(one) < LEVEL).sum()) for one in cohorts)
    return row


def _draw_truth(design: Design, own: Floats, rng: np.random.Generator) -> TargetTruth:
    """Labels and folds."""
    sites = tuple(f"site {number % design.sites}" for number in range(design.patients))
    signal = own @ rng.normal(size=(DIM, design.targets)) / np.sqrt(DIM)
    noise = rng.normal(size=signal.shape)
    values = np.sqrt(design.strength) * signal + np.sqrt(1 - design.strength) * noise
    names = tuple(f"gene {number}" for number in range(design.targets))
    binary = design.task == "mutation"
    kind = TargetKind.BINARY if binary else TargetKind.CONTINUOUS
    if binary:
        values = (values > np.median(values, axis=0)).astype(np.float64)
        folds = draw_target_folds(values, names, design.folds, design.repeats, 0, sites)
    else:
        folds = draw_shared_folds(values, design.folds, design.repeats, 0, sites)
    return TargetTruth(design.task, names, values, folds.fold_ids, sites, sites, kind=kind)


def _test_targets(
    design: Design, truth: TargetTruth, own: Floats, others: Floats, found: Found
) -> None:
    permuted = np.empty((design.patients, 0))
    if design.task == "expression":
        permuted = permute_targets(truth.values, PERMUTED, 0, truth.sites)
    scores = {}
    for name, features in (("a", own), ("b", others)):
        predicted = _predict(features, np.hstack([truth.values, permuted]), truth)
        null = None
        if permuted.shape[1]:
            null = np.stack(
                [
                    chance_statistic(permuted, one[:, design.targets :], part, truth.sites)
                    for one, part in zip(predicted, truth.fold_ids, strict=True)
                ]
            )
        scores[name] = score_encoder(truth, predicted[:, :, : design.targets], 2, 0, null)
    found.splits.append(float(np.median(truth.support.splits)))
    found.df += degrees_of_freedom(truth).tolist()
    found.chance.append(scores["a"].p_chance)
    if design.strength == 0:
        found.chance.append(scores["b"].p_chance)
    found.difference.append(compare_encoders(truth, scores)["p_corrected"].to_numpy())


def _predict(features: Floats, targets: Floats, truth: TargetTruth) -> npt.NDArray[np.float32]:
    """(R, P, T) out-of-fold predictions by ridge; targets with the same fold at once."""
    settings, count = PatientHeadSettings("ridge"), targets.shape[1]
    alike: dict[bytes, list[tuple[int, int]]] = {}
    for repeat, fold in np.ndindex(truth.repeats, truth.n_folds):
        tested = truth.fold_ids[..., repeat, :] == fold
        for target in range(count):
            own = tested if tested.ndim == 1 else tested[target]
            if own.any():
                alike.setdefault(own.tobytes(), []).append((repeat, target))
    predicted = np.full((truth.repeats, *targets.shape), np.nan, np.float32)
    for key, places in alike.items():
        rows = np.frombuffer(key, bool)
        columns = sorted({target for _, target in places})
        names = tuple(map(str, columns))
        data = PatientData(features, targets[:, columns], names, truth.groups)
        found = predict_patient_fold(data, np.where(rows, 0, 1), 0, settings).predicted
        at = {target: position for position, target in enumerate(columns)}
        for repeat in {repeat for repeat, _ in places}:
            here = [target for one, target in places if one == repeat]
            some = np.ix_(rows.nonzero()[0], np.array(here))
            predicted[repeat][some] = found[:, [at[target] for target in here]]
    return predicted


def _draw_tissue(design: Design, rng: np.random.Generator) -> tuple[TileTruth, Folds]:
    """Three classes of tiles of groups, which are one target, and their folds."""
    count, classes = 3 * design.patients, ("A", "B", "C")
    groups = tuple(f"site {number % design.sites}" for number in range(count))
    labels = rng.integers(0, 3, count).astype(np.int32)
    names = [classes[label] for label in labels]
    folds = draw_folds(names, design.folds, min(4, design.repeats), 0, groups)
    return TileTruth(classes, labels, groups), folds


def _test_tissue(
    design: Design,
    targets: list[tuple[TileTruth, Folds]],
    rng: np.random.Generator,
    found: Found,
) -> None:
    shape = (3 * design.patients, DIM)
    encoders = [rng.normal(size=shape).astype(np.float32) for _ in range(2)]
    p = []
    for truth, folds in targets:
        one, other = (_score_tissue(vectors, truth, folds) for vectors in encoders)
        tested, everything = tile_folds(folds.fold_ids, truth), np.arange(shape[0])
        classes = [np.flatnonzero(truth.labels == number) for number in range(3)]
        rows = [everything, everything, *classes]
        units = [tested.count_units(), tested.count_units(truth.labels)]
        units += [len(np.unique(tested.units[tiles])) for tiles in classes]
        tests = [
            test_folds(difference, tested, (1.0, 1.0), tiles, unit)
            for difference, tiles, unit in zip((other - one).T, rows, units, strict=True)
        ]
        p.append([test.p_corrected for test in tests])
        found.splits.append(folds.repeats)
        found.df.append(tests[0].df)
    found.difference += list(np.array(p, np.float64).T)


def _score_tissue(vectors: npt.NDArray[np.float32], truth: TileTruth, folds: Folds) -> Floats:
    """(R * F, 5) accuracy, balanced accuracy and recall of three classes, in each fold."""
    settings, scores = TileHeadSettings("least-squares", inner_parts=0), []
    tiles = EmbeddedTiles(vectors, truth.labels, 3)
    for part in folds.fold_ids:
        score = start_tile_head(tiles, part, settings)
        for fold in range(folds.n_folds):
            tested = truth.labels[part == fold]
            right = predict_tile_fold(tiles, part, fold, settings, score).predicted == tested
            recalls = [right[tested == number].mean() for number in range(3)]
            scores.append([right.mean(), np.mean(recalls), *recalls])
    return np.array(scores)
