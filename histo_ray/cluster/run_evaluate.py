"""Evaluations on Ray: units of work are tasks, and settings that compete are trials of Ray Tune."""

from dataclasses import dataclass
from typing import Any

import ray

from histo_ray.cluster.session import ray_session
from histo_ray.cluster.tasks import ray_options, share_inputs, spread_units
from histo_ray.cluster.tuning import FoldwiseAsha, report_epoch, run_trials
from histo_ray.evaluate.engine import do_unit
from histo_ray.evaluate.jobs import Competition, Inputs, Report, Spread, Unit, UnitJob


def spread_on_ray(address: str) -> Spread:
    """Make a `Spread` that does units on Ray.

    Args:
        address: As for `ray_session`.
    """

    def spread(job: UnitJob, report: Report) -> None:
        with ray_session(address):
            if job.competition is None:
                spread_units(job, report)
            else:
                _compete(job, job.competition, report)

    return spread


@dataclass(frozen=True)
class _Trials:
    """What all trials share; references, not data."""

    job: UnitJob
    """Without its inputs."""
    competition: Competition
    shared: dict[str, Any]


def _compete(job: UnitJob, competition: Competition, report: Report) -> None:
    """Do units as trials; those of one fold, and no others (`FoldwiseAsha`), compete by ASHA."""
    shared = share_inputs(job)
    lean = UnitJob(job.pieces, job.work, {}, job.units, job.needs, job.competition)
    options = ray_options(job.needs)
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}

    def fold_of(config: dict[str, int]) -> object:
        return competition.fold_of(job.units[config["number"]])

    run_trials(
        _run_trial,
        _Trials(lean, competition, shared),
        range(len(job.units)),
        {names.get(name, name): value for name, value in options.items()},
        report,
        FoldwiseAsha(fold_of, competition.epochs),
    )


def _run_trial(config: dict[str, int], job: _Trials) -> None:
    """Do one unit; it is ended between two epochs where ASHA stops it."""

    def work(unit: Unit, inputs: Inputs) -> Any:
        return job.competition.work(unit, inputs, report_epoch)

    unit = job.job.units[config["number"]]
    values = ray.get([job.shared[name] for name in unit.inputs])
    do_unit(job.job.pieces, work, unit, dict(zip(unit.inputs, values, strict=True)))
