"""Attention heads on Ray Tune: a trial is one configuration on one fold of one target.

Several settings of one fold compete by ASHA; see `FoldwiseAsha` for why within a fold only. Each
answer is written by the trial that found it, so a run that was killed goes on with what is missing.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import ray

from histo_ray.cluster.run_patients import Report
from histo_ray.cluster.session import ray_session
from histo_ray.cluster.tuning import EPOCH, INNER_SCORE, FoldwiseAsha, run_trials
from histo_ray.evaluate.patient_unit import Answers, piece_name, write_answer
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.mil.bags import Bags
from histo_ray.learn.mil.fold import predict_mil_fold
from histo_ray.learn.mil.settings import MilSettings
from histo_ray.learn.patient_heads import FoldPrediction, RepeatPrediction
from histo_ray.store.tables import TableFolder


class Unit(NamedTuple):
    """What one trial does."""

    number: int
    """Of the configuration."""
    target: int
    repeat: int
    fold: int

    @property
    def piece(self) -> str:
        """Name of its table."""
        return f"mil.{self.number:03d}.{self.target:05d}.{self.repeat:04d}.{self.fold:03d}"


class MilPlan(NamedTuple):
    """Which attention heads are judged, and what each is given."""

    configurations: Mapping[int, Configuration]
    """By their number among all of the run."""
    settings: Mapping[str, MilSettings]
    """By the configurations' variants."""
    seed: int
    cpus: float = 1.0
    """Of one trial."""


class _Job(NamedTuple):
    """What all trials share; references, not data."""

    pieces: TableFolder
    units: tuple[Unit, ...]
    plan: MilPlan
    bags: Mapping[str, Any]
    """By encoder."""
    answers: Any

    @property
    def rivals(self) -> bool:
        """Whether several settings compete, and so have to report each epoch."""
        return len(self.plan.settings) > 1


def search_heads(
    pieces: TableFolder,
    bags: Mapping[str, Bags],
    answers: Answers,
    plan: MilPlan,
    address: str = "local",
    report: Report = lambda done, total: None,
) -> None:
    """Judge every configuration on every fold; answers become tables in `pieces`.

    Args:
        pieces: Of this search alone: what lies there is taken for done.
        bags: (P,) of each encoder.
        answers: Labels and folds.
        plan: What is judged.
        address: Ray to run on, as for `ray_session`.
        report: Called with (folds done, folds in all).

    Raises:
        HistoRayError: Labels that nothing can be learnt from, or processes kept dying.
    """
    there = set(pieces.names())
    repeats, n_folds = range(answers.repeats), range(int(answers.parts.max()) + 1)
    wanted = [
        number
        for number in plan.configurations
        if any(f"{piece_name(number, repeat)}.parquet" not in there for repeat in repeats)
    ]
    units = tuple(
        Unit(number, target, repeat, fold)
        for target, repeat, fold in itertools.product(range(len(answers.names)), repeats, n_folds)
        for number in wanted
        if not _is_empty(answers, target, repeat)
    )
    todo = [at for at, unit in enumerate(units) if f"{unit.piece}.parquet" not in there]
    report(len(units) - len(todo), len(units))
    if todo:
        with ray_session(address):
            held = {name: ray.put(some) for name, some in bags.items()}
            job = _Job(pieces, units, plan, held, ray.put(answers))
            fewest, *_ = (settings.device for settings in plan.settings.values())
            run_trials(
                _run_unit,
                job,
                todo,
                {"CPU": plan.cpus} | ({"GPU": 1} if fewest == "cuda" else {}),
                lambda: report(_count_done(pieces, units), len(units)),
                _make_scheduler(job) if job.rivals else None,
            )
    for number, repeat in itertools.product(wanted, repeats):
        answer = _join_folds(pieces, answers, number, repeat)
        write_answer(pieces, piece_name(number, repeat), answer)


def judge_unit(unit: Unit, bags: Bags, answers: Answers, job: _Job, report: Any) -> FoldPrediction:
    """One head on one fold. Plain; no Ray."""
    parts = answers.parts
    own = parts[unit.target] if parts.ndim == 3 else parts
    labels = answers.targets[:, [unit.target]]
    fold = np.where(np.isnan(labels[:, 0]), -1, own[unit.repeat])
    variant = job.plan.configurations[unit.number].variant
    seed = job.plan.seed + unit.repeat
    return predict_mil_fold(bags, labels, fold, unit.fold, job.plan.settings[variant], seed, report)


def _is_empty(answers: Answers, target: int, repeat: int) -> bool:
    """Whether a target lacks this repeat, as it would equal an earlier one."""
    return answers.parts.ndim == 3 and bool((answers.parts[target, repeat] < 0).all())


def _run_unit(config: dict[str, int], job: _Job) -> None:
    """One trial; it is ended between two epochs where ASHA stops it."""
    import torch
    from ray import tune

    torch.set_num_threads(max(1, int(job.plan.cpus)))
    unit = job.units[config["number"]]
    configuration = job.plan.configurations[unit.number]

    def report(epoch: int, score: float) -> bool:
        if job.rivals:
            tune.report({EPOCH: epoch, INNER_SCORE: score})
        return True

    bags, answers = ray.get([job.bags[configuration.encoder], job.answers])
    answer = judge_unit(unit, bags, answers, job, report)
    columns = {
        "predicted": [answer.predicted[:, 0]],
        "choice": [float(answer.choice[0])],
        "inner_score": [float(answer.inner_score[0])],
    }
    table = pa.table(columns)
    job.pieces.write(unit.piece, [table], table.schema)


def _make_scheduler(job: _Job) -> FoldwiseAsha:
    """Rivals are the settings of one encoder on one fold of one target."""

    def fold_of(config: dict[str, int]) -> tuple[str, int, int, int]:
        unit = job.units[config["number"]]
        encoder = job.plan.configurations[unit.number].encoder
        return encoder, unit.target, unit.repeat, unit.fold

    return FoldwiseAsha(fold_of, max(s.epochs for s in job.plan.settings.values()))


def _join_folds(pieces: TableFolder, answers: Answers, number: int, repeat: int) -> RepeatPrediction:
    """The folds of one configuration's repeat; nan where a trial was stopped."""
    patients, count = answers.targets.shape
    n_folds = int(answers.parts.max()) + 1
    there = set(pieces.names())
    predicted = np.full((patients, count), np.nan)
    choice, inner_score = np.full((n_folds, count), np.nan), np.full((n_folds, count), np.nan)
    for target, fold in itertools.product(range(count), range(n_folds)):
        unit = Unit(number, target, repeat, fold)
        if f"{unit.piece}.parquet" not in there:
            continue
        row = pieces.read(unit.piece).to_pylist()[0]
        own = answers.parts[target] if answers.parts.ndim == 3 else answers.parts
        judged = (own[repeat] == fold) & ~np.isnan(answers.targets[:, target])
        predicted[judged, target] = row["predicted"]
        choice[fold, target], inner_score[fold, target] = row["choice"], row["inner_score"]
    return RepeatPrediction(predicted, choice, inner_score)


def _count_done(pieces: TableFolder, units: Sequence[Unit]) -> int:
    there = set(pieces.names())
    return sum(f"{unit.piece}.parquet" in there for unit in units)
