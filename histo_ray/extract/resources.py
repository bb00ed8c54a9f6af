"""Numbers of readers and encoder workers on a cluster, and the share of each. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from histo_ray.config import RunSettings
from histo_ray.errors import ConfigError
from histo_ray.extract.batch_size import BATCH_PX, choose_batch_size
from histo_ray.extract.call_size import CALL_PIXELS, CPU_CALL_PIXELS, batches_a_call
from histo_ray.extract.node_labels import choose_accelerated, choose_labelled, has_labels
from histo_ray.extract.shares import (
    READER_NICENESS,
    SHARES,
    Place,
    deal_out,
    largest_share,
    units,
)

BATCH_A_THREAD = 16
"""Tiles of a batch on CPU, a thread: two groups of usual size, so that threads end together."""


@dataclass(frozen=True)
class Node:
    """Resources of one machine of the cluster."""

    cpus: float
    gpus: float
    object_store_bytes: int
    memory_bytes: int = 0
    """Memory for heaps of tasks and actors."""
    node_id: str = ""
    """Ray's id of the node."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Ray's labels of the node."""
    accelerator: str = ""
    """Kind of its accelerators, as Ray names it: A100, H100, ...; empty without."""
    gpu_memory_bytes: int = 0
    """Memory that each of its GPUs has free; 0: not known."""


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
    """Most blocks of pixels, of a batch each, that exist at once."""
    reader_places: tuple[Place, ...] = ()
    """Readers of each node, where the plan decides that; empty: Ray spreads them."""
    encoder_places: tuple[Place, ...] = ()
    """Encoders of each node, as the readers."""
    batches_a_call: int = 1
    """Most batches that one call reads or encodes."""
    batch_sizes: tuple[int, ...] = ()
    """Tiles of a batch of each tiling, where the run has several; `batch_size` is then that of the
    largest tiles."""

    def batch_of(self, group: int) -> int:
        """Tiles of a batch of one of the run's tilings."""
        return self.batch_sizes[group] if self.batch_sizes else self.batch_size

    @property
    def call_tiles(self) -> int:
        """Most tiles that one call reads or encodes."""
        return self.batch_size * self.batches_a_call


def plan_workers(nodes: Sequence[Node], config: RunSettings, input_px: int = 0) -> Workers:
    """Choose the processes of a run on a cluster.

    With GPUs: one encoder worker a GPU with a core to launch its kernels, and a reader on every
    other core, on nodes with GPUs first. Without: one encoder worker with a thread a core on the
    smallest node (one copy of the weights), as many of that size as larger ones hold, and as many
    readers as cores, which run at lower priority in the gaps.

    Args:
        nodes: Its machines.
        config: The run.
        input_px: Edge of the largest tiles that an encoder takes; 0: not known.

    Raises:
        ConfigError: A GPU, a label or a kind of accelerator was asked for and there is none; more
            encoders than GPUs hold; or there is no CPU.
    """
    cpus = int(sum(node.cpus for node in nodes))
    if cpus < 1:
        raise ConfigError("the Ray cluster offers no CPU; start a node with --num-cpus 1 or more")
    encoding = choose_labelled(nodes, config.encoder_label, "--encoder-label")
    reading = choose_labelled(nodes, config.reader_label, "--reader-label")
    with_gpus = [node for node in encoding if node.gpus > 0]
    if config.device == "cuda" and not with_gpus:
        where = "with these labels" if config.encoder_label else "in the cluster or machine"
        raise ConfigError(f"--device cuda: there is no GPU {where}; use --device auto or cpu")
    if config.device != "cpu" and config.engine == "torch":
        if with_gpus or config.accelerator_type:
            with_gpus = choose_accelerated(with_gpus, config.accelerator_type)
    else:
        with_gpus = []
    if with_gpus:
        workers = _share_gpus(nodes, with_gpus, reading, config)
        size = config.batch_size or _choose_gpu_batch(with_gpus, workers, config, input_px)
        workers = replace(workers, batch_size=size)
    elif config.encoder_label or config.reader_label:
        workers = _share_chosen_cores(encoding, reading, config)
    else:
        workers = _share_cores(nodes, cpus, config)
    pixels = CALL_PIXELS if workers.encoder_gpus else CPU_CALL_PIXELS
    room, calls = _count_room(nodes, workers.batch_size, config), _count_calls(workers)
    batches = batches_a_call(config.tile_px, workers.batch_size, room, calls, pixels)
    workers = replace(workers, batches_a_call=batches)
    return replace(workers, blocks_in_flight=blocks_in_flight(nodes, workers, config))


def _share_gpus(
    nodes: Sequence[Node],
    with_gpus: Sequence[Node],
    reading: Sequence[Node],
    config: RunSettings,
) -> Workers:
    """Plan encoders on GPUs, and readers on the cores that these leave.

    Encoders may start on any of their nodes, now and after a death: readers are given their nodes,
    and each node keeps a core for every encoder that it could hold.
    """
    gpu_share = _cut_gpus(with_gpus, config)
    slots = [_count_slots(node, gpu_share) if node in with_gpus else 0 for node in nodes]
    encoders = config.encoder_workers or sum(slots)
    held = [min(count, encoders) for count in slots]
    cores = [units(node.cpus) for node in nodes]
    launch = min(SHARES, *(core // count for core, count in zip(cores, held, strict=True) if count))

    def spare() -> list[int]:
        return [
            core - launch * count if node in reading else 0
            for node, core, count in zip(nodes, cores, held, strict=True)
        ]

    if not any(room >= SHARES for room in spare()):
        launch //= 2
    rooms = spare()
    readers = config.readers or max(1, sum(room // SHARES for room in rooms))
    reader_share = largest_share(rooms, readers)
    first = [count > 0 for count in held]
    return Workers(
        readers=readers,
        reader_cpus=reader_share / SHARES,
        reader_places=deal_out(
            [node.node_id for node in nodes], rooms, readers, reader_share, shared=first
        ),
        niceness=0,
        encoders=encoders,
        encoder_cpus=launch / SHARES,
        encoder_gpus=gpu_share,
        threads=config.encoder_threads or 1,
        batch_size=0,
        blocks_in_flight=0,
    )


def _choose_gpu_batch(
    nodes: Sequence[Node], workers: Workers, config: RunSettings, input_px: int
) -> int:
    """Tiles of a batch that the GPU with the least free memory holds: all batches are alike."""
    known = [node.gpu_memory_bytes for node in nodes if node.gpu_memory_bytes]
    memory_bytes = min(known, default=0) * workers.encoder_gpus
    return choose_batch_size(max(config.tile_px, input_px) or BATCH_PX, memory_bytes)


def _cut_gpus(nodes: Sequence[Node], config: RunSettings) -> float:
    """Share of a GPU of each encoder: stated, or the largest 1/n with which all have a place."""
    asked = config.encoder_workers or 1
    stated = [units(config.encoder_gpus) / SHARES] if config.encoder_gpus else []
    for share in stated or [SHARES // count / SHARES for count in range(1, SHARES + 1)]:
        if sum(_count_slots(node, share) for node in nodes) >= asked:
            return share
    gpus = sum(node.gpus for node in nodes)
    if stated:
        room = sum(_count_slots(node, stated[0]) for node in nodes)
        raise ConfigError(
            f"--encoder-gpus {stated[0]:g}: {gpus:g} GPUs hold {room} such encoders, not {asked}; "
            "lower it, or --encoder-workers"
        )
    raise ConfigError(f"--encoder-workers {asked} is far more than {gpus:g} GPUs hold; lower it")


def _count_slots(node: Node, share: float) -> int:
    """Count the encoders that a node's GPUs hold: an encoder is never spread over two of them."""
    whole = int(node.gpus)
    each = units(share)
    return whole * (SHARES // each) + units(node.gpus - whole) // each


def _share_chosen_cores(
    encoding: Sequence[Node], reading: Sequence[Node], config: RunSettings
) -> Workers:
    """Plan encoders and readers, without GPUs, on the nodes that settings choose for each.

    All are given their nodes. Where a node has both, each kind has half of it.
    """
    working = [node for node in encoding if node.cpus >= 1]
    if not working:
        raise ConfigError("--encoder-label: its nodes offer no CPU; choose others")
    smallest = int(min(node.cpus for node in working))
    whole = sum(int(node.cpus) // smallest for node in working)
    encoders = config.encoder_workers or whole
    threads = config.encoder_threads or max(1, smallest * whole // encoders)
    encoder_rooms = [units(node.cpus / (1 + (node in reading))) for node in working]
    encoder_share = largest_share(encoder_rooms, encoders, most=threads * SHARES)
    shared = [node in working for node in reading]
    rooms = [units(node.cpus / (1 + both)) for node, both in zip(reading, shared, strict=True)]
    readers = config.readers or max(1, int(sum(node.cpus for node in reading)))
    reader_share = largest_share(rooms, readers)
    return Workers(
        readers=readers,
        reader_cpus=reader_share / SHARES,
        reader_places=deal_out(
            [node.node_id for node in reading], rooms, readers, reader_share, shared=shared
        ),
        niceness=READER_NICENESS if any(shared) else 0,
        encoders=encoders,
        encoder_cpus=encoder_share / SHARES,
        encoder_gpus=0,
        encoder_places=deal_out(
            [node.node_id for node in working], encoder_rooms, encoders, encoder_share
        ),
        threads=threads,
        batch_size=config.batch_size or BATCH_A_THREAD * threads,
        blocks_in_flight=0,
    )


def _share_cores(nodes: Sequence[Node], cpus: int, config: RunSettings) -> Workers:
    """Plan encoders with a thread a core, and readers in the gaps."""
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
    """Count the blocks of pixels that keep all processes at work and fit the object stores."""
    useful = _count_calls(workers) * workers.batches_a_call
    return max(2, min(useful, _count_room(nodes, workers.batch_size, config)))


def shorten_calls(workers: Workers, batches: int) -> Workers:
    """Plan calls of fewer batches, and no more pixels at once than these keep at work."""
    blocks = min(workers.blocks_in_flight, max(2, _count_calls(workers) * batches))
    return replace(workers, batches_a_call=batches, blocks_in_flight=blocks)


def _count_calls(workers: Workers) -> int:
    """Calls with pixels that all processes hold when none of them waits."""
    return 2 * workers.readers + 4 * workers.encoders


def _count_room(nodes: Sequence[Node], batch_size: int, config: RunSettings) -> int:
    """Blocks of one batch that the object stores hold beside vectors."""
    block_bytes = batch_size * config.tile_px**2 * 3
    return int(sum(node.object_store_bytes for node in nodes) * 0.4 / block_bytes)


def share_of_newcomer(node: Node, workers: Workers, config: RunSettings) -> Workers:
    """Plan the processes of a node that joins in mid-run, like those that are there already.

    Encoders stay on the kind of device that the run began with. A number that the settings state
    is of the whole run, which has them already.
    """
    encodes = has_labels(node, config.encoder_label)
    reads = has_labels(node, config.reader_label)
    if workers.encoder_gpus:
        encodes = encodes and config.accelerator_type in (None, node.accelerator)
        launch = units(workers.encoder_cpus)
        encoders = _count_slots(node, workers.encoder_gpus) if encodes else 0
        if launch:
            encoders = min(encoders, units(node.cpus) // launch)
        readers = (units(node.cpus) - launch * encoders) // SHARES
        niceness = READER_NICENESS if encoders else 0
    else:
        encoders = int(node.cpus) // workers.threads or int(node.cpus >= 1)
        readers, niceness = int(node.cpus), workers.niceness
        if workers.reader_places:
            room = node.cpus / (encodes + reads or 1)
            encoders = min(encoders, int(room / (workers.encoder_cpus or 1)))
            readers = min(readers, int(room / (workers.reader_cpus or 1)))
            niceness = READER_NICENESS if encodes else 0
    if config.readers or not reads:
        readers = 0
    if config.encoder_workers or not encodes:
        encoders = 0
    return replace(
        workers,
        readers=readers,
        encoders=encoders,
        reader_places=(Place(node.node_id, readers, niceness),),
        encoder_places=(Place(node.node_id, encoders),),
    )


def _fit(nodes: Sequence[Node], total: float, largest: float) -> float:
    """Factor on all shares with which every process finds a node, wherever Ray puts the others.

    A process of share s has no place only if less than s is free on each of n nodes, so more than
    C - n s of all C is taken: that cannot be while total + (n - 1) s <= C.
    """
    working = [node.cpus for node in nodes if node.cpus > 0]
    return min(1.0, sum(working) / (total + (len(working) - 1) * largest))


def _round(share: float) -> float:
    """Round down to what Ray counts in (ten-thousandths)."""
    return int(share * 1000) / 1000
