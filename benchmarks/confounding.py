"""Sites that are confounded with the outcome, and what images add to covariates.

    python -m benchmarks.confounding sites
    python -m benchmarks.confounding added

`sites`: cohorts whose sites differ in what slides look like and in how high the outcome is. What do
random folds promise, whole sites left out, and harmonised features; and what comes true at sites
that were never seen? `added`: how often is it said that images add to covariates where they carry
nothing beyond them (level), and where they do (power)?
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from histo_ray.cohort.folds import draw_folds, draw_plain_folds
from histo_ray.cohort.site_folds import draw_site_folds
from histo_ray.learn.covariates import CovariateUse
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.harmonise import Harmonise
from histo_ray.learn.patient_heads import PatientData, predict_patient_fold, predict_patient_repeat
from histo_ray.learn.statistics import score_auroc, score_pearson
from histo_ray.learn.targets.added_tables import ScoredPredictions, tabulate_added_value
from histo_ray.learn.targets.target_scores import score_encoder
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
HEADS = {TargetKind.CONTINUOUS: "ridge", TargetKind.BINARY: "logistic"}
SITES, SITE_PATIENTS, NEW_SITES, NEW_PATIENTS, DIM = 10, 20, 20, 40, 128
"""Of a cohort, and of the sites that were never seen."""
FOLDS = 5
INNER_FOLDS = {TargetKind.CONTINUOUS: 5, TargetKind.BINARY: 3}
"""Fewer for classes, whose fits are no closed form."""


@dataclass(frozen=True)
class SiteDesign:
    """How sites and outcome hang together."""

    name: str
    signal: float
    """Share of the outcome's sd that images truly know."""
    confounded: float
    """Sd of the sites' mean outcome, in sds within a site."""


SITE_DESIGNS = (
    SiteDesign("sites alone", 0.0, 1.0),
    SiteDesign("signal and sites", 0.6, 1.0),
    SiteDesign("signal, sites unrelated", 0.6, 0.0),
)


class Cohort(NamedTuple):
    """Patients of several sites."""

    features: Floats
    """(P, D)."""
    targets: Floats
    """(P, T)."""
    sites: list[str]


def draw_cohort(
    design: SiteDesign, sites: int, patients: int, targets: int, kind: TargetKind,
    rng: np.random.Generator, shared: np.random.Generator,
) -> Cohort:  # fmt: skip
    """Draw patients; `shared` draws what cohorts of one world have in common."""
    truth = shared.normal(size=(DIM, targets)) / np.sqrt(DIM)
    number = np.repeat(np.arange(sites), patients)
    inner = rng.normal(size=(len(number), DIM))
    look = rng.normal(size=(sites, DIM))[number]
    level = rng.normal(size=(sites, targets))[number] * design.confounded
    signal = design.signal * inner @ truth
    noise = np.sqrt(1 - design.signal**2) * rng.normal(size=signal.shape)
    outcome = signal + noise + level
    if kind is TargetKind.BINARY:
        outcome = (outcome > 0).astype(np.float64)
    return Cohort(inner + look, outcome, [f"S{one:02d}" for one in number])


def simulate_sites(kind: TargetKind, cohorts: int, targets: int) -> None:
    """Print what each way of evaluating promises, beside what comes true at new sites."""
    print(f"\n{kind}: {cohorts} cohorts x {targets} targets, {SITES} sites x {SITE_PATIENTS}")
    for design in SITE_DESIGNS:
        found: dict[str, list[float]] = {}
        for seed in range(cohorts):
            for name, score in _evaluate(design, kind, targets, seed):
                found.setdefault(name, []).append(score)
        print(f"| {design.name} | " + " | ".join(f"{np.mean(v):.3f}" for v in found.values()))
        errors = (float(np.std(v, ddof=1)) / np.sqrt(len(v)) for v in found.values())
        print(f"  {', '.join(found)}; standard errors {', '.join(f'{e:.3f}' for e in errors)}")


def _evaluate(
    design: SiteDesign, kind: TargetKind, targets: int, seed: int
) -> Iterator[tuple[str, float]]:
    rng, shared = np.random.default_rng([seed, 1]), [np.random.default_rng(seed) for _ in range(2)]
    cohort = draw_cohort(design, SITES, SITE_PATIENTS, targets, kind, rng, shared[0])
    new = draw_cohort(design, NEW_SITES, NEW_PATIENTS, targets, kind, rng, shared[1])
    random = draw_plain_folds(FOLDS, 1, seed, len(cohort.sites)).fold_ids[0]
    left_out = draw_site_folds(cohort.sites, seed).fold_ids[0]
    methods = (Harmonise.NONE, Harmonise.CENTER, Harmonise.COMBAT)
    for name, folds, groups in (
        ("random folds", random, None),
        ("sites left out", left_out, cohort.sites),
    ):
        for method in methods:
            predicted = _predict(cohort, folds, groups, kind, method)
            score = _score_folds(kind, cohort.targets, predicted, folds)
            yield f"{name}, {method}", score
    for method in methods:
        predicted = _predict_new(cohort, new, kind, method)
        within = np.unique(new.sites, return_inverse=True)[1]
        yield f"new sites, {method}", _score_folds(kind, new.targets, predicted, within)


def _predict(
    cohort: Cohort, folds: npt.NDArray[np.integer], groups: list[str] | None,
    kind: TargetKind, method: Harmonise,
) -> Floats:  # fmt: skip
    names = tuple(map(str, range(cohort.targets.shape[1])))
    data = PatientData(cohort.features, cohort.targets, names, groups, cohort.sites)
    settings = PatientHeadSettings(
        HEADS[kind], (), 5, leave_one_out=groups is None, harmonise=method
    )
    return predict_patient_repeat(data, folds, settings).predicted


def _predict_new(cohort: Cohort, new: Cohort, kind: TargetKind, method: Harmonise) -> Floats:
    """Train on all patients of the cohort, and predict each new site by itself."""
    found = np.empty(new.targets.shape)
    names = tuple(map(str, range(new.targets.shape[1])))
    settings = PatientHeadSettings(HEADS[kind], (), 5, leave_one_out=False, harmonise=method)
    features = np.concatenate([cohort.features, new.features])
    targets = np.concatenate([cohort.targets, new.targets])
    sites = [*cohort.sites, *(f"new {site}" for site in new.sites)]
    data = PatientData(features, targets, names, sites, sites)
    tested = np.arange(len(sites)) >= len(cohort.sites)
    found = predict_patient_fold(data, tested.astype(int), 1, settings).predicted
    return found


def _score_folds(
    kind: TargetKind, targets: Floats, predicted: Floats, folds: npt.NDArray[np.integer]
) -> float:
    score: Callable[[Floats, Floats], Floats] = (
        score_pearson if kind is TargetKind.CONTINUOUS else score_auroc
    )
    found = [score(targets[folds == f], predicted[folds == f]) for f in np.unique(folds)]
    return float(np.nanmean(found))


@dataclass(frozen=True)
class AddedDesign:
    """What images and covariates know."""

    name: str
    kind: TargetKind
    patients: int
    shared: float
    """How strongly images show the first covariate."""
    adds: float
    """Sd of what images know beyond covariates, in sds of the noise."""


def list_added_designs() -> Iterator[AddedDesign]:
    """List the cells of the table."""
    for kind in (TargetKind.CONTINUOUS, TargetKind.BINARY):
        for patients in (100, 200):
            yield AddedDesign("level, images apart", kind, patients, 0.0, 0.0)
            yield AddedDesign("level, images show covariate", kind, patients, 1.0, 0.0)
            yield AddedDesign("power", kind, patients, 0.5, 0.7)


def simulate_added(
    kind: TargetKind, cohorts: int, targets: int, repeats: int, patients: int | None = None
) -> None:
    """Print how often the tests of added value reject; of cohorts of one size, or of all."""
    print(f"\n{kind}: {cohorts} cohorts x {targets} targets, {repeats} repeats of {FOLDS} folds")
    print("design | patients | P added < 0.05 | of it above 0 | P difference < 0.05 | difference")
    for design in list_added_designs():
        if design.kind is not kind or patients not in (None, design.patients):
            continue
        tables = [_test_added(design, targets, repeats, seed) for seed in range(cohorts)]
        p, partial, plain, change = (np.concatenate(part) for part in zip(*tables, strict=True))
        sure = p < 0.05
        print(
            f"{design.name} | {design.patients} | {sure.mean():.1%} | "
            f"{(sure & (partial > 0)).mean():.1%} | {(plain < 0.05).mean():.1%} | "
            f"{change.mean():+.3f}",
            flush=True,
        )


def _test_added(
    design: AddedDesign, targets: int, repeats: int, seed: int
) -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng([seed, design.patients])
    known = rng.normal(size=(design.patients, 3))
    known[:, 2] = known[:, 2] > 0
    images = rng.normal(size=(design.patients, DIM // 2))
    weights = rng.normal(size=(images.shape[1], targets)) / np.sqrt(images.shape[1])
    outcome = 0.6 * known[:, [0]] + 0.4 * known[:, [2]] + design.adds * images @ weights
    outcome += rng.normal(size=outcome.shape)
    images[:, :8] += design.shared * known[:, [0]]
    known[rng.random(design.patients) < 0.1, 1] = np.nan
    if design.kind is TargetKind.BINARY:
        outcome = (outcome > np.median(outcome, axis=0)).astype(np.float64)
    names = tuple(map(str, range(targets)))
    if design.kind is TargetKind.BINARY:
        each = [
            draw_folds([str(one) for one in column], FOLDS, repeats, seed).fold_ids
            for column in outcome.T
        ]
        fold_ids = np.stack(each)
    else:
        fold_ids = draw_plain_folds(FOLDS, repeats, seed, design.patients).fold_ids
    truth = TargetTruth("task", names, outcome, fold_ids, kind=design.kind)
    scored = {use: _score_use(truth, images, known, use) for use in list(CovariateUse)[1:]}
    table = tabulate_added_value(
        truth, scored[CovariateUse.ALONE], {"images": scored[CovariateUse.ADDED]}
    )
    columns = ("p_added", "partial", "p_difference", "difference")
    p, partial, plain, change = (table[name].to_numpy() for name in columns)
    return p, partial, plain, change


def _score_use(
    truth: TargetTruth, images: Floats, known: Floats, use: CovariateUse
) -> ScoredPredictions:
    head = HEADS[truth.kind]
    inner = INNER_FOLDS[truth.kind]
    settings = PatientHeadSettings(head, (), inner, covariates=use, covariate_head=head)
    predicted = np.empty((truth.repeats, *truth.values.shape), np.float32)
    for repeat in range(truth.repeats):
        if truth.fold_ids.ndim == 2:
            data = PatientData(images, truth.values, truth.targets, None, None, known)
            folds = truth.fold_ids[repeat]
            predicted[repeat] = predict_patient_repeat(data, folds, settings, (0, repeat)).predicted
            continue
        for target, name in enumerate(truth.targets):
            data = PatientData(images, truth.values[:, [target]], (name,), None, None, known)
            folds = truth.fold_ids[target, repeat]
            one = predict_patient_repeat(data, folds, settings, (0, repeat)).predicted
            predicted[repeat, :, target] = one[:, 0]
    return ScoredPredictions(predicted, score_encoder(truth, predicted, 2, 0))


def main() -> None:
    """Simulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("sites", "added"))
    parser.add_argument("--kind", choices=("continuous", "binary"), default="continuous")
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patients", type=int, choices=(100, 200), help="default: both")
    args = parser.parse_args()
    kind = TargetKind(args.kind)
    with threadpool_limits(1):
        if args.part == "sites":
            simulate_sites(kind, args.cohorts, args.targets)
        else:
            simulate_added(kind, args.cohorts, args.targets, args.repeats, args.patients)


if __name__ == "__main__":
    main()
