"""Nested cross-validation of configurations on Ray Tune: one trial is one configuration's.

A trial hands its repeats to Ray tasks, which read features, labels and folds from the object store,
where they were put once, and write their answers into the store. So a search that was killed goes
on with the repeats that are missing, on other machines if need be, and ends in the same tables.
Trials are told nothing of judged patients and report scores from inside training parts only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import ray

from histo_ray.cluster.session import cluster_nodes, ray_session
from histo_ray.cluster.tuning import INNER_SCORE, run_trials
from histo_ray.evaluate.patient_unit import Answers, piece_name, write_repeat
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.patient_heads import PatientHeadSettings
from histo_ray.store.tables import TableFolder

COPIES = 6
"""Float64 copies of the features that a task holds at most."""
LARGE_BYTES = 1 << 28
"""Tasks above this ask Ray for their memory, so that it starts no more than fit."""
TRIAL_BYTES = 1 << 26
"""Memory of a trial's own process; its work is done by its tasks."""

Report = Callable[[int, int], None]
"""(repeats done, repeats in all)."""


Features = Mapping[tuple[str, str], npt.NDArray[np.float32]]
"""(P, D) by encoder and pooling."""


class Resources(NamedTuple):
    """What one repeat of one configuration is given."""

    cpus: float = 1.0
    memory_gb: float | None = None
    """None: from the size of the features."""


class _Job(NamedTuple):
    """What all trials share; references, not data."""

    pieces: TableFolder
    configurations: Mapping[int, Configuration]
    settings: Mapping[str, PatientHeadSettings]
    features: Mapping[tuple[str, str], Any]
    answers: Any
    repeats: int
    seed: int
    options: Mapping[str, Any]
    room: int
    """Tasks that a trial has in flight."""


def search_configurations(
    pieces: TableFolder,
    features: Features,
    answers: Answers,
    configurations: Mapping[int, Configuration],
    settings: Mapping[str, PatientHeadSettings],
    seed: int,
    *,
    address: str = "local",
    resources: Resources | None = None,
    report: Report = lambda done, total: None,
) -> None:
    """Judge every configuration in every repeat; answers become tables in `pieces`.

    Args:
        pieces: Of this search alone: what lies there is taken for done.
        features: Of every encoder and pooling.
        answers: Labels and folds.
        configurations: By their number, the same whenever the search is run again.
        settings: Of each head, by name.
        seed: Of what heads draw.
        address: Ray to run on, as for `ray_session`.
        resources: Of one repeat of one configuration.
        report: Called when a repeat ends.

    Raises:
        HistoRayError: A head refused the data, or processes kept dying.
    """
    there = set(pieces.names())
    repeats = answers.repeats
    total = len(configurations) * repeats
    todo = [
        number
        for number in configurations
        if any(f"{piece_name(number, r)}.parquet" not in there for r in range(repeats))
    ]
    done = total - sum(
        f"{piece_name(number, r)}.parquet" not in there for number in todo for r in range(repeats)
    )
    report(done, total)
    if not todo:
        return
    with ray_session(address) as nodes:
        resources = resources or Resources()
        cpus = int(sum(node.cpus for node in nodes) / resources.cpus)
        at_once = min(len(todo), -(-cpus // repeats) + 1)  # one begins while another ends
        job = _Job(
            pieces=pieces,
            configurations=dict(configurations),
            settings=dict(settings),
            features={key: ray.put(values) for key, values in features.items()},
            answers=ray.put(answers),
            repeats=repeats,
            seed=seed,
            options={"num_cpus": resources.cpus, **_memory(features, answers, resources)},
            room=-(-cpus // at_once) + 1,
        )
        run_trials(
            _run_trial,
            job,
            todo,
            {"memory": TRIAL_BYTES},
            lambda: report(_count(pieces, configurations, repeats), total),
            at_once=at_once,
        )


def _count(pieces: TableFolder, configurations: Iterable[int], repeats: int) -> int:
    there = set(pieces.names())
    return sum(
        f"{piece_name(number, repeat)}.parquet" in there
        for number in configurations
        for repeat in range(repeats)
    )


def _memory(features: Features, answers: Answers, resources: Resources) -> dict[str, int]:
    largest = max(values.size for values in features.values())
    wanted = COPIES * 8 * (largest + answers.targets.size)
    if resources.memory_gb is not None:
        wanted = int(resources.memory_gb * 1e9)
    most = max((node.memory_bytes for node in cluster_nodes()), default=0)
    return {"memory": min(wanted, most)} if wanted > LARGE_BYTES and most else {}


def _run_trial(config: dict[str, int], job: _Job) -> None:
    """One configuration's nested cross-validation; reports how far it is after each repeat."""
    from ray import tune

    number = config["number"]
    there = set(job.pieces.names())
    todo = [r for r in range(job.repeats) if f"{piece_name(number, r)}.parquet" not in there]
    scores = []
    for score in _run_repeats(job, number, todo):
        scores.append(score)
        tune.report({"repeats": len(scores), INNER_SCORE: float(np.nanmean(scores))})


def _run_repeats(job: _Job, number: int, repeats: Sequence[int]) -> Iterator[float]:
    """Run repeats as tasks, bounded in flight; the mean inner score of each as it is written."""
    configuration = job.configurations[number]
    task: Any = ray.remote(write_repeat).options(
        scheduling_strategy="SPREAD",  # and not inside the trial's own small share
        max_retries=3,
        **job.options,
    )
    features = job.features[configuration.encoder, configuration.pooling]
    settings = job.settings[configuration.head]
    waiting, running = list(reversed(repeats)), dict[Any, int]()
    while waiting or running:
        while waiting and len(running) < job.room:
            repeat = waiting.pop()
            name = piece_name(number, repeat)
            ref = task.remote(job.pieces, name, repeat, features, job.answers, settings, job.seed)
            running[ref] = repeat
        (ref,), _ = ray.wait(list(running), num_returns=1)
        score: float = ray.get(ref)
        running.pop(ref)
        yield score
