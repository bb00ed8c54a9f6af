"""From actors that were asked for to a pipeline that works.

It begins with those that are there soon after the first. Others, whose node still fetches weights,
has just died or has no room yet, join while it works; so do actors on nodes that come later. Nodes
that leave need nothing here: Ray starts their processes anew where there is room, and the pipeline
asks again for what was in flight.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from histo_ray.cluster.head_watch import head_answers
from histo_ray.cluster.pool import PooledActor, original_error, start_encoders, start_readers
from histo_ray.cluster.ray_pipeline import PING_S, RayPipeline
from histo_ray.cluster.session import cluster_nodes
from histo_ray.config import RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.extract.loading import check_loaded
from histo_ray.extract.resources import Node, Workers, blocks_in_flight, share_of_newcomer
from histo_ray.store.store import Store
from histo_ray.types import EncoderFacts

LATE_S = 30.0
"""So long a run waits for further processes once the first is there."""
LOOK_EVERY_S = 5.0
"""Between two looks for nodes that have come."""
TRIES = 3
"""So often a process may die while it starts."""
NONE_READY_S = 120
"""Between warnings that no process is ready."""

_log = logging.getLogger(__name__)


def start_pipeline(
    config: RunSettings,
    specs: Sequence[EncoderSpec],
    workers: Workers,
    store: Store,
    run_id: str,
    readers: list[PooledActor],
) -> RayPipeline:
    """Start the encoders beside `readers`, and load them.

    Raises:
        ConfigError: Weights that cannot be had, or that the store knows otherwise by that name.
    """
    encoders = start_encoders(config, list(specs), workers)
    loaded, facts = load_encoders(encoders)
    check_loaded(store, facts)
    here = _gather(loaded, lambda member: member.handle.node.remote(), "encoder")
    here |= _gather(readers, lambda member: member.handle.node.remote(), "reader")
    for member, node in here.items():
        member.node = node
    pipeline = RayPipeline(
        [member for member in readers if member in here],
        [member for member in encoders if member in here],
        {about.name: about for about in facts},
        workers,
        run_id,
    )
    pipeline.join(
        [member for member in readers if member not in here],
        [member for member in encoders if member not in here],
    )
    return pipeline


def load_encoders(encoders: Sequence[PooledActor]) -> tuple[list[PooledActor], list[EncoderFacts]]:
    """Have every worker load its encoders; those that have, and the facts of each encoder.

    Raises:
        ConfigError: Weights that cannot be had, or workers that disagree on them.
        HistoRayError: A worker's process dies whenever it loads them.
    """
    answers = _gather(encoders, lambda member: member.handle.load.remote(), "encoder")
    first, *others = answers.values()
    for other in others:
        for a, b in zip(first, other, strict=True):
            if a.weights_sha256 != b.weights_sha256:
                raise ConfigError(
                    f"encoder {a.name}: nodes hold different weights ({a.weights_sha256[:12]}, "
                    f"{b.weights_sha256[:12]}); give all nodes the same file"
                )
    return list(answers), first


def _gather(
    members: Sequence[PooledActor], ask: Callable[[PooledActor], Any], kind: str
) -> dict[PooledActor, Any]:
    """Call all; the results of those that return at most LATE_S after the first.

    One whose process died is called again once it is back.
    """
    answers: dict[PooledActor, Any] = {}
    calls = {ask(member): (member, 1, True) for member in members}
    began, warned, late = time.monotonic(), 0, float("inf")
    while calls and time.monotonic() < late:
        done, _ = ray.wait(list(calls), timeout=1.0)
        for call in done:
            member, tries, asked = calls.pop(call)
            try:
                answer = ray.get(call)
            except RayTaskError as error:
                raise original_error(error) from None
            except RayActorError as error:
                if asked and tries >= TRIES:
                    raise HistoRayError(
                        f"{kind}: its process died {tries} times while it started "
                        f"({str(error).splitlines()[0]}); is there enough memory? see Ray's logs"
                    ) from None
                time.sleep(PING_S)
                calls[member.handle.node.remote()] = member, tries + asked, False
            else:
                if asked:
                    answers[member] = answer
                    late = min(late, time.monotonic() + LATE_S)
                else:
                    calls[ask(member)] = member, tries, True
        waited = int(time.monotonic() - began)
        if not answers and waited >= warned + NONE_READY_S:
            warned = waited
            _log.warning(
                "%ss: none is ready after %d s; weights are being fetched, or the cluster has no "
                "room for its process (see ray status)",
                kind,
                waited,
            )
    return {member: answers[member] for member in members if member in answers}


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
