"""How often noise is called significant where whole sites are kept in one fold.

`python -m benchmarks.group_level [--quick]`. Labels and features are drawn at random, for several
cohorts of patients at few and many sites; nothing can be predicted, and no encoder is better. All
is computed by the functions that evaluations use: folds, heads, scores, tests and corrections.
Mutation is predicted by ridge regression towards 0 and 1 in place of logistic regression, which
would take hours; the tests see scores of folds only. Prints a table in Markdown.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import draw_folds
from histo_ray.cohort.labels import Task
from histo_ray.cohort.outcome_folds import OutcomeFolds, draw_shared_folds, draw_target_folds
from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import RepeatAnswer
from histo_ray.learn.outcome import OutcomeData, OutcomeSettings, judge_outcome_repeat
from histo_ray.learn.outcome_scores import score_encoder
from histo_ray.learn.outcome_tables import compare_encoders
from histo_ray.learn.outcome_tests import degrees_of_freedom
from histo_ray.learn.outcome_truth import OutcomeTruth
from histo_ray.learn.statistics import adjust_p, chance_statistic, permute_targets
from histo_ray.learn.tissue import HeadSettings, TissueTiles, judge_fold
from histo_ray.learn.tissue_tables import Truth, tabulate_predictions, tally_predictions
from histo_ray.learn.tissue_tables import compare_encoders as compare_tissue

Floats = npt.NDArray[np.float64]
TASKS = ("expression", "expression, t-test", "mutation", "tissue")
SITES = (3, 4, 5, 8, 20)
FOLDS = (3, 5)
DIM = 16
LEVEL = 0.05


@dataclass(frozen=True)
class Design:
    """One line of the table."""

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
    for cohort in range(design.cohorts):
        rng = np.random.default_rng([seed, cohort])
        (_simulate_tissue if design.task == "tissue" else _simulate_outcome)(design, rng, found)
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


def _simulate_outcome(design: Design, rng: np.random.Generator, found: Found) -> None:
    sites = [f"site {number % design.sites}" for number in range(design.patients)]
    own, others = (rng.normal(size=(design.patients, DIM)) for _ in range(2))
    signal = own @ rng.normal(size=(DIM, design.targets)) / np.sqrt(DIM)
    noise = rng.normal(size=signal.shape)
    values = np.sqrt(design.strength) * signal + np.sqrt(1 - design.strength) * noise
    names = tuple(f"gene {number}" for number in range(design.targets))
    task: Task = "mutation" if design.task == "mutation" else "expression"
    if task == "mutation":
        values = (values > np.median(values, axis=0)).astype(np.float64)
        folds = _draw_targets(values, design, sites)
    else:
        folds = draw_shared_folds(values, design.folds, design.repeats, 0, sites)
    truth = OutcomeTruth(task, names, values, folds.parts, tuple(sites), tuple(sites))
    permuted = np.empty((design.patients, 0))
    if design.task == "expression":
        permuted = permute_targets(values, 1000, 0, sites)
    scores = {}
    for name, features in (("a", own), ("b", others)):
        predicted = _predict(features, np.hstack([values, permuted]), truth)
        null = None
        if permuted.shape[1]:
            null = np.stack(
                [
                    chance_statistic(permuted, one[:, design.targets :], part, truth.sites)
                    for one, part in zip(predicted, truth.parts, strict=True)
                ]
            )
        scores[name] = score_encoder(truth, predicted[:, :, : design.targets], 2, 0, null)
    found.splits.append(float(np.median(truth.support.splits)))
    found.df += degrees_of_freedom(truth).tolist()
    found.chance.append(scores["a"].p_chance)
    if design.strength == 0:
        found.chance.append(scores["b"].p_chance)
    found.difference.append(compare_encoders(truth, scores)["p_corrected"].to_numpy())


def _draw_targets(values: Floats, design: Design, sites: list[str]) -> OutcomeFolds:
    names = [str(number) for number in range(values.shape[1])]
    return draw_target_folds(values, names, design.folds, design.repeats, 0, sites)


def _predict(features: Floats, targets: Floats, truth: OutcomeTruth) -> npt.NDArray[np.float32]:
    """(R, P, T) out-of-fold predictions by ridge; each target in its own folds, if any."""
    settings, names = OutcomeSettings("ridge"), tuple(map(str, range(targets.shape[1])))

    def judge(columns: list[int], part: npt.NDArray[np.integer]) -> RepeatAnswer:
        some = tuple(names[at] for at in columns)
        data = OutcomeData(features, targets[:, columns], some, truth.groups)
        return judge_outcome_repeat(data, part, settings)

    predicted = np.full((truth.repeats, *targets.shape), np.nan, np.float32)
    for repeat in range(truth.repeats):
        if truth.parts.ndim == 2:
            predicted[repeat] = judge(list(range(len(names))), truth.parts[repeat]).predicted
            continue
        for target in range(len(names)):
            part = truth.parts[target, repeat]
            if (part >= 0).any():
                predicted[repeat][:, [target]] = judge([target], part).predicted
    return predicted


def _simulate_tissue(design: Design, rng: np.random.Generator, found: Found) -> None:
    """Tiles of groups; a labelling of three classes is one target."""
    count = 3 * design.patients
    groups = tuple(f"site {number % design.sites}" for number in range(count))
    encoders = {name: rng.normal(size=(count, DIM)).astype(np.float32) for name in "ab"}
    classes, p = ("A", "B", "C"), []
    for _ in range(design.targets):
        labels = rng.integers(0, 3, count).astype(np.int32)
        truth = Truth(classes, labels, groups)
        names = [classes[label] for label in labels]
        folds = draw_folds(names, design.folds, min(4, design.repeats), 0, groups)
        tallies = {}
        for name, vectors in encoders.items():
            tiles = TissueTiles(vectors, labels, 3)
            tables = []
            for repeat, part in enumerate(folds.parts):
                predicted = np.empty(count, np.int32)
                for fold in range(folds.n_folds):
                    judged = judge_fold(tiles, part, fold, HeadSettings("least-squares"))
                    predicted[part == fold] = judged.predicted
                where = {"split": "cv", "encoder": name, "repeat": repeat}
                nothing = np.zeros(count, np.float32)
                tables.append(
                    tabulate_predictions(
                        where, truth, part, predicted, nothing, nothing.astype(np.float64)
                    )
                )
            tallies[name] = tally_predictions(tables, truth, 0)
        rows = compare_tissue("cv", tallies, truth, 2, 0, folds.parts)
        p.append([row["p_corrected"] for row in rows])
        found.splits.append(len(folds.parts))
    found.difference += list(np.array(p, np.float64).T)


def list_designs(quick: bool) -> Iterator[Design]:
    """Every task, number of sites and of folds that exists."""
    for task in TASKS:
        for sites in SITES:
            for folds in FOLDS:
                if folds > sites:
                    continue  # there are no such folds
                patients = max(60, 5 * sites)
                if quick:
                    yield Design(task, sites, folds, 20, 2, 2, patients)
                else:
                    yield Design(task, sites, folds, patients=patients)


def write_row(design: Design, row: dict[str, float]) -> str:
    """One line of the table."""

    def tell(name: str) -> str:
        if design.task == "tissue" and name == "chance":
            return "- | -"
        if not row[f"{name}_given"]:
            return "no P given | -"
        found = f"{row[f'{name}_found']:.0f} of {row[f'{name}_given']:.0f}"
        return f"{100 * row[f'{name}_share']:.1f} % | {found}"

    df = "-" if np.isnan(row["df"]) else f"{row['df']:.1f}"
    return (
        f"| {design.task} | {design.sites} | {design.folds} | {row['splits']:g} | {df} | "
        f"{tell('chance')} | {tell('difference')} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.group_level")
    parser.add_argument("--quick", action="store_true", help="small: does it run")
    parser.add_argument("--task", choices=TASKS, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    head = ["task", "sites", "folds", "distinct splits", "df", "P < 0.05, above chance", "q < 0.05"]
    print(f"| {' | '.join([*head, 'P < 0.05, two encoders', 'q < 0.05'])} |")
    print("|---" * 9 + "|")
    for design in list_designs(args.quick):
        if args.task and design.task not in args.task:
            continue
        try:
            row = summarise(simulate(design, args.seed))
        except ConfigError as error:
            print(f"| {design.task} | {design.sites} | {design.folds} | refused: {error} |")
            continue
        print(write_row(design, row), flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
