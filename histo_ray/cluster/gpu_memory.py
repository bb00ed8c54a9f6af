"""Free memory of a cluster's GPUs, asked on their machines before a run is planned."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from histo_ray.config import RunSettings
from histo_ray.encoders.nvidia_driver import list_free_memory
from histo_ray.extract.batch_size import count_usable_memory
from histo_ray.extract.resources import Node

ANSWER_S = 20.0
"""So long a run waits for answers; a machine that gives none has the usual batch."""


def ask_gpu_memory(nodes: Sequence[Node], config: RunSettings) -> list[Node]:
    """The nodes, with the free memory of their GPUs where a run depends on it."""
    if config.batch_size or config.device == "cpu" or config.engine != "torch":
        return list(nodes)
    ask = ray.remote(list_free_memory)
    calls = {
        ask.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        ).remote(): node
        for node in nodes
        if node.gpus >= 1
    }
    done = ray.wait(list(calls), num_returns=len(calls), timeout=ANSWER_S)[0] if calls else []
    found: dict[str, int] = {}
    for answer in done:
        node = calls[answer]
        with suppress(RayError):  # the machine has just gone, or has no room for a process
            found[node.node_id] = count_usable_memory(ray.get(answer), int(node.gpus))
    return [replace(node, gpu_memory_bytes=found.get(node.node_id, 0)) for node in nodes]
