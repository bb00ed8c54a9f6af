"""This machine as a node of a cluster: what a run without Ray is planned on."""

from histo_ray.encoders.nvidia_driver import list_free_memory
from histo_ray.extract.batch_size import count_usable_memory
from histo_ray.extract.plan_processes import count_cores
from histo_ray.extract.resources import Node


def describe_machine(gpus: int) -> Node:
    """Its cores, and the GPUs that this process sees, with the memory that is free.

    Args:
        gpus: How many it sees.
    """
    memory_bytes = count_usable_memory(list_free_memory(), gpus) if gpus else 0
    return Node(float(count_cores()), float(gpus), 0, gpu_memory_bytes=memory_bytes)
