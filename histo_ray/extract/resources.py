"""How many readers and encoder workers a cluster gets, and which share of it each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from histo_ray.config import RunSettings
from histo_ray.errors import ConfigError

READER_NICENESS = 10
"""Niceness of readers that share their cores with an encoder: reading fills the gaps."""
BATCH_GPU = 128
BATCH_A_THREAD = 16
"""Tiles of a batch on CPU, a thread: two groups of usual size, so that threads end together."""
READERS_PER_GPU_NODE_SPARE_CORES = 1
"""Cores of a GPU node left to the encoder process and Ray."""


@dataclass(frozen=True)
class Node:
    """What one machine of the cluster offers."""

    cpus: float
    gpus: float
    object_store_bytes: int
    memory_bytes: int = 0
    """For heaps of tasks and actors."""
    node_id: str = ""
    """Ray's name for it."""


@dataclass(frozen=True)
class Workers:
    """The processes of one run."""

    readers: int
    reader_cpus: float
    niceness: int
    encoders: int
    encoder_cpus: float
    encoder_gpus: float
    threads: int
    """CPU threads of each encoder process."""
    batch_size: int
    blocks_in_flight: int
    """Most blocks of pixels that exist at once."""


def plan_workers(nodes: Sequence[Node], config: RunSettings) -> Workers:
    """Share out a cluster.

    With GPUs: one encoder worker a GPU, and a reader on every other core. Without: one encoder
    worker with a thread a core on the smallest node (one copy of the weights), as many of that size
    as larger ones hold, and as many readers as cores, which run at lower priority in the gaps.

    Raises:
        ConfigError: A GPU was asked for and there is none; or there is no CPU.
    """
    gpus = int(sum(node.gpus for node in nodes))
    cpus = int(sum(node.cpus for node in nodes))
    if cpus < 1:
        raise ConfigError("the Ray cluster offers no CPU; start a node with --num-cpus 1 or more")
    if config.device == "cuda" and not gpus:
        raise ConfigError(
            "--device cuda: there is no GPU in the cluster or machine; use --device auto or cpu"
        )
    if gpus and config.device != "cpu" and config.engine == "torch":
        workers = _share_gpus(nodes, gpus, cpus, config)
    else:
        workers = _share_cores(nodes, cpus, config)
    return replace(workers, blocks_in_flight=blocks_in_flight(nodes, workers, config))


def _share_gpus(nodes: Sequence[Node], gpus: int, cpus: int, config: RunSettings) -> Workers:
    """Encoders on GPUs, and readers on the cores beside them."""
    encoders = config.encoder_workers or gpus
    spare = sum(READERS_PER_GPU_NODE_SPARE_CORES for node in nodes if node.gpus)
    readers = config.readers or max(1, cpus - spare)
    reader_cpus = min(1.0, max(0.01, (cpus - spare) / readers))
    reader_cpus *= _fit(nodes, readers * reader_cpus, reader_cpus)
    return Workers(
        readers=readers,
        reader_cpus=_round(reader_cpus),
        niceness=0,
        encoders=encoders,
        encoder_cpus=0,
        encoder_gpus=min(1.0, gpus / encoders),
        threads=config.encoder_threads or 1,
        batch_size=config.batch_size or BATCH_GPU,
        blocks_in_flight=0,
    )


def _share_cores(nodes: Sequence[Node], cpus: int, config: RunSettings) -> Workers:
    """Encoders with a thread a core, and readers in the gaps."""
    working = [node for node in nodes if node.cpus >= 1]
    smallest = int(min(node.cpus for node in working))
    whole = sum(int(node.cpus) // smallest for node in working)
    encoders = config.encoder_workers or whole
    readers = config.readers or cpus
    threads = config.encoder_threads or max(1, smallest * whole // encoders)
    half = cpus / 2
    reader_cpus, encoder_cpus = min(1.0, half / readers), min(float(threads), half / encoders)
    total = readers * reader_cpus + encoders * encoder_cpus
    factor = _fit(nodes, total, max(reader_cpus, encoder_cpus))
    return Workers(
        readers=readers,
        reader_cpus=_round(reader_cpus * factor),
        niceness=READER_NICENESS,
        encoders=encoders,
        encoder_cpus=_round(encoder_cpus * factor),
        encoder_gpus=0,
        threads=threads,
        batch_size=config.batch_size or BATCH_A_THREAD * threads,
        blocks_in_flight=0,
    )


def blocks_in_flight(nodes: Sequence[Node], workers: Workers, config: RunSettings) -> int:
    """Blocks of pixels that keep all processes at work, as far as the object stores hold them."""
    block_bytes = workers.batch_size * config.tile_px**2 * 3
    room = int(sum(node.object_store_bytes for node in nodes) * 0.4 / block_bytes)
    useful = 2 * workers.readers + 4 * workers.encoders
    return max(2, min(useful, room))


def share_of_newcomer(node: Node, workers: Workers, config: RunSettings) -> Workers:
    """The processes of a node that joins in mid-run, each like those that are there already.

    Encoders stay on the kind of device that the run began with. A number that the settings state
    is of the whole run, which has them already.
    """
    if workers.encoder_gpus:
        encoders = int(node.gpus / workers.encoder_gpus)
        spare = READERS_PER_GPU_NODE_SPARE_CORES if node.gpus else 0
        readers = int(node.cpus) - spare
    else:
        encoders = int(node.cpus) // workers.threads or int(node.cpus >= 1)
        readers = int(node.cpus)
    return replace(
        workers,
        readers=0 if config.readers else max(0, readers),
        encoders=0 if config.encoder_workers else encoders,
    )


def _fit(nodes: Sequence[Node], total: float, largest: float) -> float:
    """Factor on all shares with which every process finds a node, wherever Ray puts the others.

    A process of share s has no place only if less than s is free on each of n nodes, so more than
    C - n s of all C is taken: that cannot be while total + (n - 1) s <= C.
    """
    working = [node.cpus for node in nodes if node.cpus > 0]
    return min(1.0, sum(working) / (total + (len(working) - 1) * largest))


def _round(share: float) -> float:
    """Ray counts resources in ten-thousandths."""
    return int(share * 1000) / 1000
