"""Ray actors of the plain classes in `actors`, and what is in flight on each."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from histo_ray.cluster.actors import EncoderWorker, Reader, Writer
from histo_ray.cluster.head_watch import head_answers
from histo_ray.config import RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.extract.meter import Spent
from histo_ray.extract.resources import Workers

BATCHES_AT_ONCE = 2
"""Of an encoder. On CPU threads that are done with one start on the next while others still work;
on a GPU one computes while the other's tiles are copied there."""
QUEUE_PER_WORKER = 2
"""Calls a reader holds: one runs, the next one's pixels arrive."""


@dataclass(eq=False)
class Member:
    """One actor. Ray starts its process again when it dies; calls in flight are then lost."""

    handle: Any
    calls: set[Any] = field(default_factory=set)
    """References of unfinished calls."""
    node: str = ""
    queue: int = QUEUE_PER_WORKER
    """Calls it holds."""
    exclusive: bool = False
    """Whether the one call in flight must stay alone."""
    slide_id: str = ""
    """Slide it read last and has open."""
    spent: dict[str, Spent] = field(default_factory=dict)
    """By kind of call: plan, read, commit or encode."""
    suspect: bool = False
    """Whether a call on it was lost and it has not answered since: calls would fail at once."""

    since: float = field(default_factory=time.monotonic)
    """time.monotonic() when it was asked for."""

    @property
    def has_room(self) -> bool:
        """Whether it takes another call."""
        return len(self.calls) < self.queue and not (self.exclusive or self.suspect)

    def note(self, kind: str, spent: Spent) -> None:
        """Add what a call cost it."""
        self.spent[kind] = self.spent.get(kind, Spent()).plus(spent)


def start_readers(
    config: RunSettings, workers: Workers, kind: type[Writer] | None = None, node_id: str = ""
) -> list[Member]:
    """Start the reader actors, spread over the nodes or on one.

    Args:
        config: The run.
        workers: How many, and which share of the cluster each has.
        kind: Their class; None: readers of slides.
        node_id: Where, if there is room; empty: spread.
    """
    actor = ray.remote(kind or Reader).options(
        num_cpus=workers.reader_cpus,
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy=_place(node_id),
    )
    return [Member(actor.remote(config, workers.niceness)) for _ in range(workers.readers)]


def start_encoders(
    config: RunSettings, specs: list[EncoderSpec], workers: Workers, node_id: str = ""
) -> list[Member]:
    """Start the encoder actors, spread over the nodes, or on one if there is room."""
    runtime = {} if workers.encoder_gpus else {"runtime_env": {"env_vars": ENVIRONMENT}}
    actor = ray.remote(EncoderWorker).options(
        num_cpus=workers.encoder_cpus,
        num_gpus=workers.encoder_gpus,
        max_concurrency=BATCHES_AT_ONCE,
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy=_place(node_id),
        **runtime,
    )
    handles = [actor.remote(config, specs, workers.threads) for _ in range(workers.encoders)]
    return [Member(handle, queue=BATCHES_AT_ONCE + 1) for handle in handles]


def dismiss(members: Iterable[Member]) -> None:
    """End the processes at once: what they hold of the cluster is free for the next run.

    Ray would end them only once nobody refers to them, which may be much later.
    """
    if head_answers():  # else Ray would wait for it
        for member in members:
            ray.kill(member.handle)


def _place(node_id: str) -> Any:
    """Ray's word for where an actor starts; should its node be lost, any other one does."""
    return NodeAffinitySchedulingStrategy(node_id, soft=True) if node_id else "SPREAD"


def original_error(error: RayTaskError) -> Exception:
    """What a remote call raised: ours as it was, a stranger with its remote traceback."""
    cause = error.cause
    if isinstance(cause, HistoRayError):
        return cause
    if type(cause).__name__ == "OutOfMemoryError":
        return ConfigError(f"encoder: out of GPU memory ({cause}); lower --batch-size")
    return error
