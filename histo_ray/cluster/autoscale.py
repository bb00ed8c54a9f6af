"""Nodes that join in mid-run get readers and encoders of their own.

Nodes that leave need nothing here: Ray starts their processes anew where there is room, or once
there is, and the pipeline asks again for what was in flight.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from histo_ray.cluster.head_watch import head_answers
from histo_ray.cluster.pipeline import Pipeline
from histo_ray.cluster.pool import start_encoders, start_readers
from histo_ray.cluster.session import cluster_nodes
from histo_ray.config import RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.extract.resources import Node, blocks_in_flight, share_of_newcomer

LOOK_EVERY_S = 5.0


class Recruiter:
    """Looks for new nodes now and then, and puts processes on them."""

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

    def look(self, pipeline: Pipeline) -> None:
        """Start processes on nodes that have come since the last look, if it is time for one."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        known = {node.node_id for node in self._nodes}
        for node in cluster_nodes() if head_answers() else ():
            if node.node_id not in known:
                self._nodes.append(node)
                self._recruit(node, pipeline)

    def _recruit(self, node: Node, pipeline: Pipeline) -> None:
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
