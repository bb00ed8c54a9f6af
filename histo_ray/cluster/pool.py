"""Ray actors of the plain classes in `actors`: started and ended."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from histo_ray.cluster.actors import EncoderWorker, Reader
from histo_ray.cluster.head_watch import head_answers
from histo_ray.cluster.session import workers_have
from histo_ray.config import RunSettings
from histo_ray.encoders.base import GPU_BATCHES_AT_ONCE, EncoderSpec
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.extract.encoder_plan import plan_encoders
from histo_ray.extract.meter import Spent
from histo_ray.extract.node_labels import parse_labels
from histo_ray.extract.resources import Workers
from histo_ray.extract.shares import Place
from histo_ray.extract.small_work import count_gpus

BATCHES_AT_ONCE = 2
"""Batches that a CPU encoder has at once: threads that are done with one start on the next while
others still work. A GPU encoder has `GPU_BATCHES_AT_ONCE`."""
QUEUE_PER_WORKER = 2
"""Calls a reader holds: one runs, the next one's pixels arrive."""


@dataclass(eq=False)
class PooledActor:
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
    devices: dict[str, str] = field(default_factory=dict)
    """What each encoder runs on, in words, by encoder."""
    failed_processes: set[int] = field(default_factory=set)
    """Ids of its processes in which a GPU failed."""

    since: float = field(default_factory=time.monotonic)
    """time.monotonic() when it was asked for."""

    @property
    def has_room(self) -> bool:
        """Whether it takes another call."""
        return len(self.calls) < self.queue and not (self.exclusive or self.suspect)

    def note(self, kind: str, spent: Spent) -> None:
        """Add what a call cost it."""
        self.spent[kind] = self.spent.get(kind, Spent()).plus(spent)


def start_readers(config: RunSettings, workers: Workers, node_id: str = "") -> list[PooledActor]:
    """Start the reader actors, spread over the nodes or on one.

    Args:
        config: The run.
        workers: How many, and which share of the cluster each has.
        node_id: Where, if there is room; empty: spread.
    """
    options = {
        "num_cpus": workers.reader_cpus,
        "max_restarts": -1,
        "max_task_retries": 0,
        **_labelled(config.reader_label),
    }
    actor = ray.remote(Reader)
    places = workers.reader_places or (Place(node_id, workers.readers, workers.niceness),)
    return [
        PooledActor(_placed(actor, place, options).remote(config, place.niceness))
        for place in places
        for _ in range(place.count)
    ]


def encoder_variables(config: RunSettings) -> Mapping[str, str]:
    """Environment of CPU encoders; nothing where a GPU of this machine may encode.

    Given to all workers of a Ray that starts here, so that no encoder needs a process of its own.
    """
    return ENVIRONMENT if config.device == "cpu" or not count_gpus() else {}


def start_encoders(
    config: RunSettings, specs: list[EncoderSpec], workers: Workers, node_id: str = ""
) -> list[PooledActor]:
    """Start the encoder actors, spread over the nodes, or on one if there is room."""
    plain = bool(workers.encoder_gpus) or workers_have(ENVIRONMENT)
    runtime = {} if plain else {"runtime_env": {"env_vars": ENVIRONMENT}}
    batches = GPU_BATCHES_AT_ONCE if workers.encoder_gpus else BATCHES_AT_ONCE
    options = {
        "num_cpus": workers.encoder_cpus,
        "num_gpus": workers.encoder_gpus,
        "max_concurrency": batches,
        "max_restarts": -1,
        "max_task_retries": 0,
        "accelerator_type": config.accelerator_type if workers.encoder_gpus else None,
        **_labelled(config.encoder_label),
        **runtime,
    }
    actor, plan = ray.remote(EncoderWorker), plan_encoders(config, workers)
    places = workers.encoder_places or (Place(node_id, workers.encoders),)
    handles = [
        _placed(actor, place, options).remote(config, specs, plan)
        for place in places
        for _ in range(place.count)
    ]
    return [PooledActor(handle, queue=batches + 1) for handle in handles]


def kill_actors(members: Iterable[PooledActor]) -> None:
    """End processes at once, so that what they hold of the cluster is free for the next run.

    Ray would end them only once no reference to them is left, which may be much later.
    """
    if head_answers():  # else Ray would wait for it
        for member in members:
            ray.kill(member.handle)


def _placed(actor: Any, place: Place, options: Mapping[str, object]) -> Any:
    """An actor class with options and a node; should that be lost, it starts on any other one."""
    node = place.node_id
    strategy = NodeAffinitySchedulingStrategy(node, soft=True) if node else "SPREAD"
    return actor.options(**options, scheduling_strategy=strategy)


def _labelled(stated: Sequence[str]) -> dict[str, Any]:
    """Option that keeps an actor on nodes with these labels, wherever it is started again."""
    return {"label_selector": parse_labels(stated)} if stated else {}


def original_error(error: RayTaskError) -> Exception:
    """Error that a remote call raised: ours as it was, another with its remote traceback."""
    cause = error.cause
    if isinstance(cause, HistoRayError):
        return cause
    if type(cause).__name__ == "OutOfMemoryError":
        return ConfigError(f"encoder: out of GPU memory ({cause}); lower --batch-size")
    return error
