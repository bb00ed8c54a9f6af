"""From actors that were asked for to a pipeline that works.

It begins with those that are there soon after the first. Others, whose node still fetches weights,
has just died or has no room yet, join while it works; so do actors on nodes that come later. Nodes
that leave need nothing here: Ray starts their processes anew where there is room, and the pipeline
asks again for what was in flight.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import ray

from histo_ray.cluster.gather import gather
from histo_ray.cluster.head_watch import head_answers
from histo_ray.cluster.pool import PooledActor, start_encoders, start_readers
from histo_ray.cluster.ray_pipeline import RayPipeline
from histo_ray.cluster.session import cluster_nodes
from histo_ray.config import RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.extract.loading import check_alike, check_loaded
from histo_ray.extract.resources import Node, Workers, blocks_in_flight, share_of_newcomer
from histo_ray.extract.run_counts import StartTimes
from histo_ray.store.store import Store
from histo_ray.types import EncoderFacts

LOOK_EVERY_S = 5.0
"""Between two looks for nodes that have come."""


def start_pipeline(
    config: RunSettings,
    specs: Sequence[EncoderSpec],
    workers: Workers,
    store: Store,
    run_id: str,
) -> RayPipeline:
    """Start encoders and readers, and have the encoders load.

    Encoders are asked for first: they load longest, and the processes that Ray has ready are few.

    Raises:
        ConfigError: Weights that cannot be had, or that the store knows otherwise by that name.
    """
    began = time.monotonic()
    encoders = start_encoders(config, list(specs), workers)
    readers = start_readers(config, workers)
    loaded = load_encoders(encoders)
    started_s = time.monotonic() - began
    check_loaded(store, loaded.first)
    started = gather(list(loaded.facts), _ask_start, "encoder").answers
    here = {member: node for member, (node, _) in started.items()}
    here |= gather(readers, _ask_node, "reader").answers
    for member, node in here.items():
        member.node = node
    pipeline = RayPipeline(
        [member for member in readers if member in here],
        [member for member in encoders if member in here],
        {about.name: about for about in loaded.first},
        workers,
        run_id,
    )
    pipeline.note_start(loaded.facts, loaded.left_out.values())
    loading_s = min((seconds for _, seconds in started.values()), default=0.0)
    pipeline.counts.start = StartTimes(0.0, max(0.0, started_s - loading_s), loading_s)
    later = [member for member in encoders if member not in {*here, *loaded.left_out}]
    pipeline.join([member for member in readers if member not in here], later)
    return pipeline


def _ask_start(member: PooledActor) -> "ray.ObjectRef[tuple[str, float]]":
    ref: ray.ObjectRef[tuple[str, float]] = member.handle.started.remote()
    return ref


def _ask_node(member: PooledActor) -> "ray.ObjectRef[str]":
    ref: ray.ObjectRef[str] = member.handle.node.remote()
    return ref


@dataclass(frozen=True)
class LoadedWorkers:
    """Encoder processes that have loaded their encoders."""

    facts: dict[PooledActor, list[EncoderFacts]]
    """By process, in the order of the encoders asked for."""
    left_out: dict[PooledActor, Exception]
    """Processes whose GPU is of no use, and why; they are ended."""

    @property
    def first(self) -> list[EncoderFacts]:
        """Facts that all others agree with, but for the card that they are on."""
        return next(iter(self.facts.values()))


def load_encoders(encoders: Sequence[PooledActor]) -> LoadedWorkers:
    """Have every worker load its encoders.

    Raises:
        ConfigError: Weights that cannot be had, workers that would compute otherwise than others,
            or no worker whose GPU's memory suffices.
        HistoRayError: A worker's process dies whenever it loads them, or every GPU fails.
    """
    gathered = gather(encoders, lambda member: member.handle.load.remote(), "encoder")
    loaded = LoadedWorkers(gathered.answers, gathered.left_out)
    for other in loaded.facts.values():
        for expected, found in zip(loaded.first, other, strict=True):
            check_alike(expected, found)
    return loaded


class NodeWatcher:
    """Looks for new nodes now and then, and starts actors on them."""

    def __init__(
        self, config: RunSettings, specs: Sequence[EncoderSpec], nodes: list[Node]
    ) -> None:
        """Begin to look.

        Args:
            config: The run.
            specs: Its encoders.
            nodes: Those that it began with; new ones are appended.
        """
        self._config = config
        self._specs = list(specs)
        self._nodes = nodes
        self._looked = time.monotonic()

    def use_new_nodes(self, pipeline: RayPipeline) -> None:
        """Start actors on nodes that have come since the last look, if it is time for one."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        known = {node.node_id for node in self._nodes}
        for node in cluster_nodes() if head_answers() else ():
            if node.node_id not in known:
                self._nodes.append(node)
                self._start_on(node, pipeline)

    def _start_on(self, node: Node, pipeline: RayPipeline) -> None:
        share = share_of_newcomer(node, pipeline.workers, self._config)
        pipeline.join(
            start_readers(self._config, share, node_id=node.node_id),
            start_encoders(self._config, self._specs, share, node_id=node.node_id),
        )
        grown = replace(
            pipeline.workers,
            readers=len(pipeline.readers),
            encoders=len(pipeline.encoders),
        )
        bound = blocks_in_flight(self._nodes, grown, self._config)
        pipeline.workers = replace(grown, blocks_in_flight=bound)
