"""How often noise is called significant in evaluations of survival, and how near C comes to truth.

`python -m benchmarks.survival_level [--quick]`. Cohorts have exponential times and uniform
censoring; encoders are independent normal features. In the first table none of them says anything,
in the second one says what a known hazard says. Folds, heads, choice of the penalty, scores, tests
and intervals are those of `evaluate survival`; the level is that with one penalty, signal that with
four to choose from. Prints tables in Markdown; a share stands with its Monte-Carlo error, from the
spread of the cohorts.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.survival_folds import draw_event_folds
from histo_ray.learn.fit_heads import fit_patients
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.patient_heads import PatientData, predict_patient_repeat
from histo_ray.learn.statistics import score_concordance
from histo_ray.learn.targets.survival_halves import compare_halves, split_halves
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import score_encoder
from histo_ray.learn.targets.target_tests import test_above_chance, test_difference
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind
from histo_ray.types.signed_times import sign_times

Floats = npt.NDArray[np.float64]
DIM = 16
LEVEL = 0.05
ENCODERS = 4
FIXED = PatientHeadSettings("cox", (1.0,))
"""One penalty, for the level: the tests see scores of folds only."""
CHOSEN = PatientHeadSettings("cox", (1e2, 1e1, 1.0, 1e-1), 3)
"""Half the penalties and three inner folds, for signal, so that it takes minutes."""
METRIC = METRICS[TargetKind.SURVIVAL]


@dataclass(frozen=True)
class Design:
    """What is simulated."""

    patients: int
    censored: float
    """Share of the patients, about."""
    cohorts: int
    sites: int = 0
    """Kept whole in one fold; 0: patients are each on their own."""
    effect: float = 0.0
    """Standard deviation of the log-hazard that the features explain."""
    folds: int = 5
    repeats: int = 3


def draw_times(log_hazard: Floats, censored: float, rng: np.random.Generator) -> Floats:
    """Draw signed times; about a share `censored` of them is."""
    times = rng.exponential(np.exp(-log_hazard))
    if censored == 0:
        return sign_times(times, np.ones(len(times), bool))
    cut = rng.exponential((1 - censored) / censored, len(times))
    return sign_times(np.minimum(times, cut), times <= cut)


def make_truth(design: Design, signed: Floats) -> TargetTruth:
    """Make labels and folds of one endpoint."""
    names = [str(number) for number in range(design.patients)]
    sites = (
        [f"site {number % design.sites}" for number in range(len(names))] if design.sites else []
    )
    folds = draw_event_folds(
        signed[:, None], ["OS"], design.folds, design.repeats, 0, sites or names
    )
    kept = tuple(sites) or None
    return TargetTruth(
        "survival", ("OS",), signed[:, None], folds.fold_ids, kept, kept, kind=TargetKind.SURVIVAL
    )


def predict(
    features: Floats, truth: TargetTruth, settings: PatientHeadSettings
) -> npt.NDArray[np.floating]:
    """(R, P, 1) out-of-fold risks."""
    data = PatientData(features, truth.values, truth.targets, truth.groups)
    return np.stack(
        [
            predict_patient_repeat(data, ids, settings, (0, repeat)).predicted
            for repeat, ids in enumerate(truth.fold_ids[0])
        ]
    )


def test_noise(design: Design, seed: int) -> dict[str, list[float]]:
    """P values of one cohort of noise: above chance, of halves, of pairs, as publications test."""
    rng = np.random.default_rng([seed, design.patients, int(100 * design.censored), design.sites])
    signed = draw_times(np.zeros(design.patients), design.censored, rng)
    truth = make_truth(design, signed)
    found: dict[str, list[float]] = {name: [] for name in ("chance", "halves", "pairs", "plain")}
    scores = []
    for _ in range(ENCODERS):
        risks = predict(rng.normal(size=(design.patients, DIM)), truth, FIXED)
        scores.append(METRIC.score(truth, risks))
        found["chance"].append(float(test_above_chance(truth, scores[-1] - 0.5).p[0]))
        ids = truth.fold_ids[0]
        z = compare_halves(signed, ids, split_halves(ids, risks[:, :, 0]))
        found["halves"].append(float(test_above_chance(truth, z[..., None]).p[0]))
        found["plain"].append(float(METRIC.plain_p(truth.values, risks.mean(0))[0]))
    for one, other in combinations(scores, 2):
        found["pairs"].append(float(test_difference(truth, other - one).p[0]))
    return found


def write_share(cohorts: Sequence[Sequence[float]]) -> str:
    """Share of P below the level with its Monte-Carlo error, from the spread of cohorts."""
    shares = [np.mean(np.asarray(some)[~np.isnan(some)] < LEVEL) for some in cohorts]
    known = np.array([share for share in shares if not np.isnan(share)])
    if len(known) < 2:
        return "no P given"
    return f"{100 * known.mean():.1f} ± {100 * known.std(ddof=1) / np.sqrt(len(known)):.1f} %"


def print_level(designs: Sequence[Design], seed: int) -> None:
    """Print shares of noise that is called significant."""
    head = ["patients", "censored", "kept whole", "cohorts", "above chance", "two encoders"]
    head += ["halves by risk", "log-rank of mean risk, as publications count"]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for design in designs:
        found = [test_noise(design, seed + number) for number in range(design.cohorts)]
        shares = [
            write_share([one[name] for one in found])
            for name in ("chance", "pairs", "halves", "plain")
        ]
        whole = f"{design.sites} sites" if design.sites else "patients"
        print(
            f"| {design.patients} | {design.censored:.0%} | {whole} | {design.cohorts} | "
            f"{' | '.join(shares)} |",
            flush=True,
        )


def score_signal(design: Design, seed: int, weights: Floats) -> tuple[float, ...]:
    """Score, its interval, P, and the C that such a head has on very many other patients."""
    rng = np.random.default_rng([seed, design.patients, 7])
    features = rng.normal(size=(design.patients, DIM))
    truth = make_truth(design, draw_times(features @ weights, design.censored, rng))
    found = score_encoder(truth, predict(features, truth, CHOSEN), 200, 0)
    kept = truth.fold_ids[0, 0] != 0
    data = PatientData(features[kept], truth.values[kept], truth.targets)
    (fit,) = fit_patients(data, CHOSEN)
    others = rng.normal(size=(3000, DIM))
    signed = draw_times(others @ weights, design.censored, rng)
    of_head = float(score_concordance(signed[:, None], fit.predict(others))[0])
    score, low, high = found.resampled.score, found.interval.low, found.interval.high
    return float(score[0]), float(low[0]), float(high[0]), float(found.p_chance[0]), of_head


def print_signal(designs: Sequence[Design], seed: int) -> None:
    """Print how near scores come to what the hazard allows."""
    head = ["patients", "censored", "sd of log-hazard", "cohorts", "C of the true hazard"]
    head += ["C of heads on other patients", "C out of fold", "in the 95 % interval", "P < 0.05"]
    print(f"\n| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for design in designs:
        rng = np.random.default_rng(seed)
        weights = np.full(DIM, design.effect / np.sqrt(DIM))
        many = rng.normal(size=(4000, DIM)) @ weights
        signed = draw_times(many, design.censored, rng)
        limit = float(score_concordance(signed[:, None], many[:, None])[0])
        found = np.array(
            [score_signal(design, seed + number, weights) for number in range(design.cohorts)]
        )
        score, low, high, p, of_head = found.T
        expected = of_head.mean()
        inside = ((low <= expected) & (expected <= high)).mean()
        error = np.sqrt(inside * (1 - inside) / len(found))
        print(
            f"| {design.patients} | {design.censored:.0%} | {design.effect:g} | {design.cohorts} | "
            f"{limit:.3f} | {expected:.3f} | {score.mean():.3f} ± "
            f"{score.std(ddof=1) / np.sqrt(len(found)):.3f} | {100 * inside:.1f} ± "
            f"{100 * error:.1f} % | {100 * (p < LEVEL).mean():.0f} % |",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.survival_level")
    parser.add_argument("--quick", action="store_true", help="small: does it run")
    parser.add_argument("--cohorts", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("level", "signal"), help="default: both")
    args = parser.parse_args()
    began = time.monotonic()
    count = 2 if args.quick else args.cohorts
    cells = ((100, 0.5, 0), (200, 0.5, 0), (100, 0.85, 0), (100, 0.5, 8))
    if args.part != "signal":
        print_level([Design(n, share, count, sites) for n, share, sites in cells], args.seed)
    strengths = ((100, 0.0), (100, 0.4), (100, 0.8), (200, 0.8), (500, 0.8))
    few = max(2, count // 2)
    if args.part != "level":
        print_signal([Design(n, 0.5, few, effect=sd) for n, sd in strengths], args.seed)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
