"""What MIL networks and ensembles of them find in bags where few, more, or all tiles tell.

`OMP_NUM_THREADS=1 nice -n 10 python -m benchmarks.mil --workers 1 [--quick]`. Each cohort is drawn
anew, with 200 patients more to test on. Every head is trained on the same patients and tested on
the same others: logistic regression on mean vectors, and each network with one member and with
five. The score of one member is the mean over the members of the ensemble, each as if it were
alone, so both are of the same networks. Errors are standard errors over cohorts (Monte Carlo);
intervals those of the paired t-test over them. Seeds from 1000 on were used to choose settings.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import sem, ttest_1samp
from sklearn.metrics import log_loss, roc_auc_score

from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.mil.bags import Bags, measure_bags
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.patient_heads import PatientData, predict_patient_fold

Floats = npt.NDArray[np.float64]
TASKS = {
    "2 %": "2 % of a positive's tiles stand out",
    "10 %": "10 % of a positive's tiles stand out, less",
    "all": "every tile shows the label, faintly",
}
RARE = {"2 %": (0.02, 5.0), "10 %": (0.1, 2.5)}
"""Share of the tiles that stand out, and their shift; the sd of a patient's tiles is 1."""
FAINT, BETWEEN = 0.15, 0.3
"""Shift of every tile of `all`, and the sd between patients."""
TEST = 200
"""Patients to test on."""
ENSEMBLE = 5
RARE_CLASS = 0.15
"""Share of positives where class balance is compared."""
BALANCE_TASKS = ("10 %",)
BALANCED = "abmil"
"""Network that it is compared by."""
TWICE = ("2 %", "abmil")
"""Task and network with ten members: two ensembles, whose scores show run-to-run spread."""


class Size(NamedTuple):
    """Size of a cohort."""

    patients: int = 80
    """To train on."""
    tiles: int = 60
    """Mean; a patient has between half and one and a half times as many."""
    dim: int = 24
    positives: float = 0.5


class Job(NamedTuple):
    """One head on one cohort."""

    task: str
    network: str
    """Empty: logistic regression on mean vectors."""
    size: Size
    seed: int
    settings: Mapping[str, int | float | bool]


class Found(NamedTuple):
    """AUROC on patients that were not trained on."""

    single: tuple[float, ...]
    """AUROC of each member alone."""
    by_logit: tuple[float, ...]
    """AUROC of each five members, by the mean of their log-odds."""
    by_probability: tuple[float, ...]
    """By the mean of their probabilities."""
    loss: tuple[float, float, float]
    """Cross-entropy of one member (mean), of the mean of log-odds, and of probabilities."""
    seconds: float
    """CPU of training a member."""


def make_cohort(task: str, size: Size, seed: int) -> tuple[Bags, Floats]:
    """Bags of patients to train on, and of `TEST` others behind them, and (P, 1) labels.

    Features are correlated and of different scales.
    """
    random = np.random.default_rng(seed)
    mixing = np.linalg.qr(random.normal(size=(size.dim, size.dim)))[0]
    scale = np.linspace(0.5, 3, size.dim)
    parts = [np.arange(n) < round(size.positives * n) for n in (size.patients, TEST)]
    labels = np.concatenate(parts).astype(np.float64)
    bags = []
    for label in labels:
        count = int(random.integers(size.tiles // 2, size.tiles * 3 // 2))
        tiles = random.normal(size=(count, size.dim)) + BETWEEN * random.normal(size=size.dim)
        if task in RARE:
            share, shift = RARE[task]
            some = random.choice(count, max(1, round(share * count)), replace=False)
            tiles[some, 0] += shift * label
        else:
            tiles[:, :2] += FAINT * (2 * label - 1)
        bags.append((tiles @ mixing * scale + 1).astype(np.float16))
    return measure_bags(bags), labels[:, None]


def score_mean(job: Job) -> Found:
    """Score logistic regression on mean vectors."""
    bags, labels = make_cohort(job.task, job.size, job.seed)
    data = PatientData(bags.means, labels, (job.task,))
    tested = (np.arange(len(labels)) < job.size.patients).astype(np.intp)
    logistic = PatientHeadSettings(head="logistic")
    predicted = predict_patient_fold(data, tested, 0, logistic, (job.seed,)).predicted[:, 0]
    score = float(roc_auc_score(labels[tested == 0, 0], predicted))
    return Found((score,), (), (), (np.nan, np.nan, np.nan), 0.0)


def score_network(job: Job) -> Found:
    """Score a network and ensembles of it, on one thread."""
    import torch

    from histo_ray.learn.mil.training import train_mil

    torch.set_num_threads(1)
    bags, labels = make_cohort(job.task, job.size, job.seed)
    count = job.size.patients
    settings = MilSettings.model_validate({"network": job.network, **job.settings})
    began = time.process_time()
    head = train_mil(bags.take(np.arange(count)), labels[:count], settings, job.seed)
    seconds = (time.process_time() - began) / settings.members
    outputs = head.look(bags.vectors[count:])[..., 0]
    truth = labels[count:, 0]
    fives = [outputs[at : at + ENSEMBLE] for at in range(0, len(outputs), ENSEMBLE)]
    logits = [one.mean(0) for one in fives]
    shares = [expit(one).mean(0) for one in fives]
    return Found(
        tuple(float(roc_auc_score(truth, one)) for one in outputs),
        tuple(float(roc_auc_score(truth, one)) for one in logits),
        tuple(float(roc_auc_score(truth, one)) for one in shares),
        (
            float(np.mean([log_loss(truth, expit(one)) for one in outputs])),
            float(np.mean([log_loss(truth, expit(one)) for one in logits])),
            float(np.mean([log_loss(truth, one) for one in shares])),
        ),
        seconds,
    )


def score(job: Job) -> Found:
    """Score a head on a cohort."""
    return score_network(job) if job.network else score_mean(job)


def summarise(found: Sequence[Found], mean: Sequence[Found]) -> dict[str, object]:
    """Means over cohorts with their errors, and paired differences.

    Args:
        found: Of one network, a cohort each.
        mean: Of logistic regression on the same cohorts.
    """
    base = np.array([one.single[0] for one in mean])
    single = np.array([np.mean(one.single) for one in found])
    five = np.array([np.mean(one.by_logit) for one in found])
    twice = np.array([np.diff(one.by_logit)[0] for one in found if len(one.by_logit) > 1])
    losses = np.array([one.loss for one in found])
    return {
        "one_member": _with_error(single),
        "five_members": _with_error(five),
        "five_by_probability": _with_error(np.array([np.mean(f.by_probability) for f in found])),
        "five_minus_one": _interval(five - single),
        "five_minus_mean_head": _interval(five - base),
        "sd_between_members": round(float(np.mean([np.std(f.single, ddof=1) for f in found])), 3),
        "sd_between_ensembles": round(float(np.sqrt((twice**2).mean() / 2)), 3)
        if len(twice)
        else None,
        "loss_one_logit_probability": losses.mean(0).round(4).tolist(),
        "cpu_s_a_member": round(float(np.mean([one.seconds for one in found])), 2),
    }


def _with_error(values: Floats) -> list[float]:
    """Mean and its standard error over cohorts."""
    return [round(float(values.mean()), 3), round(float(sem(values)), 3)]


def _interval(values: Floats) -> list[float]:
    """Mean and its 95 % interval by the t distribution."""
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    return [round(float(one), 3) for one in (values.mean(), low, high)]


def run_jobs(jobs: Sequence[Job], workers: int) -> list[Found]:
    """Score all jobs, in fresh processes."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        found = []
        for job, one in zip(jobs, pool.map(score, jobs), strict=True):
            print(job.seed, job.task, job.network, one, file=sys.stderr, flush=True)
            found.append(one)
        return found


def list_jobs(
    networks: Sequence[str], seeds: Sequence[int], size: Size, settings: Mapping[str, int | float]
) -> list[Job]:
    """Every head on every cohort; those of class balance, with few positives, beside them."""
    jobs = []
    for network, task, seed in product(("", *networks), TASKS, seeds):
        members = ENSEMBLE * (1 + ((task, network) == TWICE))
        jobs.append(Job(task, network, size, seed, {**settings, "members": members}))
    rare = size._replace(positives=RARE_CLASS)
    for task, seed, balanced in product(BALANCE_TASKS, seeds, (False, True)):
        given = {**settings, "members": ENSEMBLE, "balanced": balanced}
        if BALANCED in networks:
            jobs.append(Job(task, BALANCED, rare, seed, given))
    return jobs


def tabulate(
    jobs: Sequence[Job], found: Sequence[Found], networks: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Summarise every network by task, on cohorts of as many positives as negatives."""
    answer: dict[str, dict[str, object]] = {}
    for task in TASKS:
        mean = _take(jobs, found, task, "", 0.5)
        answer[task] = {"mean_head": _with_error(np.array([one.single[0] for one in mean]))}
        for network in networks:
            answer[task][network] = summarise(_take(jobs, found, task, network, 0.5), mean)
    return answer


def compare_balance(jobs: Sequence[Job], found: Sequence[Found]) -> dict[str, dict[str, object]]:
    """Compare classes that weigh the same in the loss with patients that do, by task."""
    answer: dict[str, dict[str, object]] = {}
    for task in BALANCE_TASKS:
        plain, even = (_take(jobs, found, task, BALANCED, RARE_CLASS, b) for b in (False, True))
        scores = [np.array([np.mean(one.by_logit) for one in some]) for some in (plain, even)]
        answer[task] = {
            "plain": _with_error(scores[0]),
            "balanced": _with_error(scores[1]),
            "balanced_minus_plain": _interval(scores[1] - scores[0]),
            "loss_plain_balanced": [
                round(float(np.mean([one.loss[1] for one in some])), 4) for some in (plain, even)
            ],
        }
    return answer


def _take(
    jobs: Sequence[Job], found: Sequence[Found], task: str, network: str, positives: float,
    balanced: bool = False,
) -> list[Found]:  # fmt: skip
    return [
        one
        for job, one in zip(jobs, found, strict=True)
        if (job.task, job.network, job.size.positives) == (task, network, positives)
        and job.settings.get("balanced", False) is balanced
    ]


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mil", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small: does it run, not how well")
    parser.add_argument("--cohorts", type=int, default=4, help="of each task (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the first cohort")
    parser.add_argument("--networks", default="abmil,clam,transformer,mean-mlp")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    size, settings = Size(), dict[str, int | float]()
    if args.quick:
        size, settings = Size(patients=40, tiles=40, dim=16), {"epochs": 4}
        args.cohorts = 2
    networks = args.networks.split(",")
    began = time.monotonic()
    seeds = range(args.seed, args.seed + args.cohorts)
    jobs = list_jobs(networks, seeds, size, settings)
    found = run_jobs(jobs, args.workers)
    answer = tabulate(jobs, found, networks)
    balance = compare_balance(jobs, found) if BALANCED in networks else {}
    facts = {**vars(args), "size": size._asdict(), "settings": settings, "tasks": answer}
    facts |= {"positives_15_percent": balance, "seconds": round(time.monotonic() - began, 1)}
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
