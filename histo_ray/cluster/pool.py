"""Ray actors of the plain classes in `actors`: started, ended, and which of them are of use."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from histo_ray.cluster.actors import EncoderWorker, Reader
from histo_ray.cluster.head_watch import head_answers
from histo_ray.config import RunSettings
from histo_ray.encoders.base import GPU_BATCHES_AT_ONCE, EncoderSpec
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.extract.meter import Spent
from histo_ray.extract.resources import Workers
from histo_ray.types import EncoderFacts

BATCHES_AT_ONCE = 2
"""Batches that a CPU encoder has at once: threads that are done with one start on the next while
others still work. A GPU encoder has `GPU_BATCHES_AT_ONCE`."""
QUEUE_PER_WORKER = 2
"""Calls a reader holds: one runs, the next one's pixels arrive."""
ENCODER_DEATHS = 5
"""So many encoder deaths in a row, with no batch encoded between, end the run."""
STALLED_S = 120
"""Between warnings that no process answers."""

_log = logging.getLogger(__name__)


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
    actor = ray.remote(Reader).options(
        num_cpus=workers.reader_cpus,
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy=_scheduling(node_id),
    )
    return [PooledActor(actor.remote(config, workers.niceness)) for _ in range(workers.readers)]


def start_encoders(
    config: RunSettings, specs: list[EncoderSpec], workers: Workers, node_id: str = ""
) -> list[PooledActor]:
    """Start the encoder actors, spread over the nodes, or on one if there is room."""
    runtime = {} if workers.encoder_gpus else {"runtime_env": {"env_vars": ENVIRONMENT}}
    batches = GPU_BATCHES_AT_ONCE if workers.encoder_gpus else BATCHES_AT_ONCE
    actor = ray.remote(EncoderWorker).options(
        num_cpus=workers.encoder_cpus,
        num_gpus=workers.encoder_gpus,
        max_concurrency=batches,
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy=_scheduling(node_id),
        **runtime,
    )
    handles = [actor.remote(config, specs, workers.threads) for _ in range(workers.encoders)]
    return [PooledActor(handle, queue=batches + 1) for handle in handles]


def kill_actors(members: Iterable[PooledActor]) -> None:
    """End processes at once, so that what they hold of the cluster is free for the next run.

    Ray would end them only once no reference to them is left, which may be much later.
    """
    if head_answers():  # else Ray would wait for it
        for member in members:
            ray.kill(member.handle)


def _scheduling(node_id: str) -> Any:
    """Scheduling strategy of an actor; should its node be lost, it starts on any other one."""
    return NodeAffinitySchedulingStrategy(node_id, soft=True) if node_id else "SPREAD"


def original_error(error: RayTaskError) -> Exception:
    """Error that a remote call raised: ours as it was, another with its remote traceback."""
    cause = error.cause
    if isinstance(cause, HistoRayError):
        return cause
    if type(cause).__name__ == "OutOfMemoryError":
        return ConfigError(f"encoder: out of GPU memory ({cause}); lower --batch-size")
    return error


class Membership:
    """Readers and encoders of one run, and which of them get work."""

    def __init__(
        self,
        readers: list[PooledActor],
        encoders: list[PooledActor],
        facts: Mapping[str, EncoderFacts],
    ) -> None:
        self.readers = readers
        self.encoders = encoders
        self._facts = facts
        self._encoder_deaths = 0
        self._heard = time.monotonic()

    def admit(self, member: PooledActor, node: str, weights: Mapping[str, str]) -> None:
        """Give work to a process that is new, or back; none to one with other weights.

        Args:
            member: The process.
            node: Node that it runs on.
            weights: SHA-256 of its loaded weights, by encoder; readers have none.
        """
        for name, digest in weights.items():
            expected = self._facts[name].weights_sha256
            if digest != expected:
                problem = (
                    f"encoder {name}: other weights ({digest[:12]}, expected {expected[:12]}); "
                    "give all nodes the same file"
                )
                self.exclude(member, ConfigError(problem))
                return
        member.suspect, member.node = False, node

    def exclude(self, member: PooledActor, why: Exception) -> None:
        """Go on without a process that is of no use; raise `why` if it was the last of its kind."""
        group = self.encoders if member in self.encoders else self.readers
        group.remove(member)
        if not group:
            raise why
        _log.warning("run: a node's process is left out, the others go on: %s", why)
        kill_actors([member])

    def note_encoded(self) -> None:
        """Note that a batch was encoded."""
        self._encoder_deaths = 0

    def note_encoder_death(self) -> None:
        """Note that an encoder's process died at work.

        Raises:
            HistoRayError: It was the last of too many in a row.
        """
        self._encoder_deaths += 1
        if self._encoder_deaths >= ENCODER_DEATHS:
            raise HistoRayError(
                f"encoder: its process died {ENCODER_DEATHS} times in a row without encoding a "
                "batch, probably out of memory; lower --batch-size, or look into Ray's logs"
            )

    def warn_if_stalled(self, heard: bool) -> None:
        """Warn where no process has answered for long: the run waits as long as it takes.

        Args:
            heard: Whether one has answered just now.
        """
        now = time.monotonic()
        if heard:
            self._heard = now
        elif now - self._heard >= STALLED_S:
            self._heard = now
            _log.warning(
                "run: no process has answered for %d s; nodes may be lost, or the cluster has no "
                "room for their processes (see ray status); it goes on when they are back",
                STALLED_S,
            )
