"""Load of a run's processes, from what they reported."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from histo_ray.extract.bottleneck import Load
from histo_ray.extract.meter import Spent
from histo_ray.extract.resources import Node, Workers
from histo_ray.extract.run_counts import Counts


class Process(Protocol):
    """A process of a run, as `pool.PooledActor` is one."""

    node: str
    """Ray's id of the node that it is on."""
    spent: dict[str, Spent]
    """By kind of call: plan, read, commit or encode."""
    since: float
    """time.monotonic() when it was asked for."""


def measure_load(
    counts: Counts,
    readers: Sequence[Process],
    encoders: Sequence[Process],
    workers: Workers,
    nodes: Sequence[Node],
    startup_s: float,
    float32: bool,
) -> Load:
    """Measure how busy a run has kept its processes so far."""
    work_s = counts.ended - counts.began
    return Load(
        startup_s=startup_s,
        work_s=work_s,
        tiles=counts.tiles_encoded,
        cores=int(sum(node.cpus for node in nodes)),
        gpus=workers.encoders * workers.encoder_gpus,
        readers=mean_number(readers, counts),
        encoders=mean_number(encoders, counts),
        threads=workers.threads,
        plan=add_up(readers, "plan"),
        read=add_up(readers, "read"),
        commit=add_up(readers, "commit"),
        encode=add_up(encoders, "encode"),
        blocks_waiting=counts.block_seconds / work_s if work_s > 0 else 0.0,
        float32=float32,
        start=counts.start,
    )


def mean_number(processes: Sequence[Process], counts: Counts) -> float:
    """Mean number of processes of a run; those that joined later count for what was left."""
    work_s = counts.ended - counts.began
    if work_s <= 0:
        return len(processes)
    spans = (counts.ended - max(process.since, counts.began) for process in processes)
    return sum(max(0.0, span) for span in spans) / work_s


class Busy(NamedTuple):
    """Work of some processes."""

    processes: float
    """Their number; a GPU that several share counts once."""
    seconds: float


def busy_by_kind(processes: Iterable[Process], kinds: Mapping[str, str]) -> dict[str, Busy]:
    """Add up the work of processes so far, by the kind of node that they are on.

    Args:
        processes: Readers or encoders.
        kinds: `cpu` or `gpu`, by node; a node that came later counts as `cpu`.
    """
    found: dict[str, Busy] = {}
    for process in processes:
        kind = kinds.get(process.node, "cpu")
        count, seconds = found.get(kind, Busy(0, 0.0))
        busy_s = sum(spent.busy_s for spent in process.spent.values())
        found[kind] = Busy(count + 1, seconds + busy_s)
    return found


def share_since(now: Busy, before: Busy | None, span_s: float) -> float:
    """Share of the last `span_s` seconds in which processes worked, as far as it is reported."""
    seconds = now.seconds - (before.seconds if before else 0.0)
    whole = now.processes * span_s
    return min(1.0, max(0.0, seconds / whole)) if whole > 0 else 0.0


def add_up(processes: Iterable[Process], kind: str) -> Spent:
    """Add up what processes spent on one kind of call."""
    total = Spent()
    for process in processes:
        total = total.plus(process.spent.get(kind, Spent()))
    return total
