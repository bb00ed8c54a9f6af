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
import pyarrow as pa
import ray

from histo_ray.cluster.session import cluster_nodes, ray_session
from histo_ray.cluster.tuning import INNER_SCORE, run_trials
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.outcome import (
    OutcomeData,
    OutcomeSettings,
    RepeatAnswer,
    judge_outcome_repeat,
)
from histo_ray.store.tables import TableFolder

COPIES = 6
"""Float64 copies of the features that a task holds at most."""
LARGE_BYTES = 1 << 28
"""Tasks above this ask Ray for their memory, so that it starts no more than fit."""
TRIAL_BYTES = 1 << 26
"""Memory of a trial's own process; its work is done by its tasks."""

Report = Callable[[int, int], None]
"""(repeats done, repeats in all)."""


class Answers(NamedTuple):
    """What is to be predicted of the patients, and when each is judged."""

    targets: npt.NDArray[np.float64]
    """(P, T); nan where a patient has no label."""
    names: tuple[str, ...]
    """(T,) of the targets."""
    parts: npt.NDArray[np.int32]
    """(R, P) fold of each patient, or (T, R, P) where targets have folds of their own; there -1
    where a patient has no label."""
    groups: tuple[str, ...] | None
    """(P,) what stays together in inner folds too; None: each patient is on its own."""

    @property
    def repeats(self) -> int:
        """How often all patients are judged."""
        return int(self.parts.shape[-2])


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
    settings: Mapping[str, OutcomeSettings]
    features: Mapping[tuple[str, str], Any]
    answers: Any
    repeats: int
    seed: int
    options: Mapping[str, Any]
    room: int
    """Tasks that a trial has in flight."""


def judge_repeat(
    features: npt.NDArray[np.float32],
    answers: Answers,
    repeat: int,
    settings: OutcomeSettings,
    seed: int,
) -> RepeatAnswer:
    """One repeat of one configuration. Plain; no Ray.

    Args:
        features: (P, D).
        answers: What is to be predicted.
        repeat: Which.
        settings: Of the head.
        seed: Of what the head draws.
    """
    data = OutcomeData(features, answers.targets, answers.names, answers.groups)
    if answers.parts.ndim == 2:
        return judge_outcome_repeat(data, answers.parts[repeat], settings, (seed, repeat))
    own = [
        judge_outcome_repeat(
            OutcomeData(features, answers.targets[:, [t]], (name,), answers.groups),
            answers.parts[t, repeat],
            settings,
            (seed, repeat),
        )
        for t, name in enumerate(answers.names)
    ]
    return RepeatAnswer(*(np.concatenate(same, axis=1) for same in zip(*own, strict=True)))


def search_configurations(
    pieces: TableFolder,
    features: Features,
    answers: Answers,
    configurations: Mapping[int, Configuration],
    settings: Mapping[str, OutcomeSettings],
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
        job = _Job(
            pieces=pieces,
            configurations=dict(configurations),
            settings=dict(settings),
            features={key: ray.put(values) for key, values in features.items()},
            answers=ray.put(answers),
            repeats=repeats,
            seed=seed,
            options={"num_cpus": resources.cpus, **_memory(features, answers, resources)},
            room=max(1, -(-cpus // len(todo)) + 1),
        )
        run_trials(
            _run_trial,
            job,
            todo,
            {"memory": TRIAL_BYTES},
            lambda: report(_count(pieces, configurations, repeats), total),
        )


def piece_name(number: int, repeat: int) -> str:
    """Name of the table of a configuration's repeat."""
    return f"{number:03d}.{repeat:04d}"


def write_answer(pieces: TableFolder, name: str, answer: RepeatAnswer) -> None:
    """One row a target: predictions of all patients, and what was chosen in each fold."""
    columns = {
        "predicted": _lists(answer.predicted.astype(np.float32)),
        "choice": _lists(answer.choice),
        "inner_score": _lists(answer.inner_score),
    }
    table = pa.table(columns)
    pieces.write(name, [table], table.schema)


def read_answer(pieces: TableFolder, number: int, repeat: int) -> RepeatAnswer:
    """The inverse of `write_answer`; predictions are float32.

    Raises:
        StoreError: It is not there, or damaged.
    """
    table = pieces.read(piece_name(number, repeat))
    return RepeatAnswer(
        *(
            np.stack(table[name].combine_chunks().to_numpy(zero_copy_only=False), axis=1)
            for name in ("predicted", "choice", "inner_score")
        )
    )


def _lists(values: npt.NDArray[np.floating]) -> pa.Array:
    """(n, T) as T lists of n."""
    flat = np.ascontiguousarray(values.T).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), len(values))


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
    task: Any = ray.remote(_write_repeat).options(
        scheduling_strategy="SPREAD",  # and not inside the trial's own small share
        max_retries=3,
        runtime_env={"env_vars": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}},
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


def _write_repeat(
    pieces: TableFolder,
    name: str,
    repeat: int,
    features: npt.NDArray[np.float32],
    answers: Answers,
    settings: OutcomeSettings,
    seed: int,
) -> float:
    answer = judge_repeat(features, answers, repeat, settings, seed)
    write_answer(pieces, name, answer)
    finite = answer.inner_score[np.isfinite(answer.inner_score)]
    return float(finite.mean()) if len(finite) else float("nan")
