"""Bottleneck of a run: reading or encoding, and what to change. Pure."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from histo_ray.extract.meter import Spent
from histo_ray.extract.run_counts import NOT_TIMED, StartTimes

Bottleneck = Literal[
    "reader-bound", "encoder-bound", "balanced", "latency-bound", "start-up-bound", "none"
]

BUSY = 0.5
"""Share of the time below which a side does not hold up the other."""
APART = 0.15
"""Difference of shares up to which both sides count as equally busy."""
CORES_FULL = 0.8
"""Share of the cores' time from which on they are the limit."""
MOSTLY = 0.5
"""Share from which on a part is named as what the time goes into."""
DEVICE_IDLE = 0.6
"""A GPU that computes for less than this share of its encoder's time waits for the host."""

FASTER = (
    ", or --engine openvino --precision bfloat16 where CPUs have AMX (histo-ray doctor says so)"
)
"""Advice for encoders on CPU that compute in float32."""
IN_TURNS = "one process read and encoded in turns; --address local does both side by side"


@dataclass(frozen=True)
class Load:
    """Time that the processes of a run spent on each kind of work."""

    startup_s: float
    """Seconds before the first slide was given out: Ray, processes, weights."""
    work_s: float
    """Seconds from then to the end."""
    tiles: int
    """Tiles encoded."""
    cores: int
    """CPUs of the cluster."""
    gpus: float
    """GPUs that encoders have; 0: encoders run on the cores that readers use too."""
    readers: float
    """Reader processes, on average over the time of work."""
    encoders: float
    threads: int
    """CPU threads of each encoder."""
    plan: Spent
    """Cost of masks and grids."""
    read: Spent
    """Cost of reading tiles."""
    commit: Spent
    """Cost of writing partitions."""
    encode: Spent
    """Cost of encoding."""
    blocks_waiting: float
    """Blocks that were read and waited for an encoder, on average over the time of work."""
    float32: bool
    """Whether encoders compute in it."""
    start: StartTimes = NOT_TIMED
    """What `startup_s` went into, as far as it is known."""

    @property
    def reader_busy(self) -> float:
        """Share of their time in which readers were at work."""
        return self._share(sum(spent.busy_s for spent in self._reading), self.readers)

    @property
    def encoder_busy(self) -> float:
        """Share of their time in which encoders were at work."""
        return self._share(self.encode.busy_s, self.encoders)

    @property
    def gpu_busy(self) -> float:
        """Share of their time in which GPUs computed; 0 without any."""
        return self._share(self.encode.device_s, self.gpus)

    @property
    def cores_busy(self) -> float:
        """Share of the cores' time that readers and encoders used."""
        cpu_s = self.encode.cpu_s + sum(spent.cpu_s for spent in self._reading)
        return self._share(cpu_s, self.cores)

    @property
    def storage_wait(self) -> float:
        """Share of the reading of tiles that was waiting for storage, as far as it is known."""
        return self.read.storage_s / self.read.busy_s if self.read.busy_s else 0.0

    @property
    def _reading(self) -> tuple[Spent, Spent, Spent]:
        return self.plan, self.read, self.commit

    def _share(self, seconds: float, processes: float) -> float:
        whole = processes * self.work_s
        return min(1.0, seconds / whole) if whole > 0 else 0.0


class Verdict(NamedTuple):
    """Bottleneck of a run, with advice."""

    bottleneck: Bottleneck
    hint: str
    """Shares, and what to change; one sentence."""


def find_bottleneck(load: Load, *, taking_turns: bool = False) -> Verdict:
    """Find the side of a run that was the limit.

    A side is the limit if it was at work clearly more than the other one. Shares are of the time
    of work, which for long runs is nearly all; of a run that took longer to start, just that is
    said.

    Args:
        load: What its processes did.
        taking_turns: Whether one process read and encoded in turns, so that the sides share the
            time and none waits for the other.
    """
    if not load.tiles:
        return Verdict("none", "no tile was encoded")
    if load.startup_s >= load.work_s:
        started = "loading encoders" if taking_turns else _describe_start(load.start)
        return Verdict(
            "start-up-bound",
            f"{load.startup_s:.0f} s of {load.startup_s + load.work_s:.0f} s went into {started}, "
            "once a run: give one run more slides",
        )
    readers, encoders = load.reader_busy, load.encoder_busy
    shares = f"readers busy {readers:.0%}, encoders {encoders:.0%}"
    if taking_turns and readers > encoders - APART:
        return Verdict("reader-bound", f"{shares}: {IN_TURNS}")
    if load.gpus and load.encode.device_s:
        shares += f", GPUs {load.gpu_busy:.0%}"
    if max(readers, encoders) < BUSY:
        return Verdict("latency-bound", f"{shares}: {_advise_waiting(load)}")
    if abs(readers - encoders) <= APART:
        return Verdict("balanced", f"{shares}: {_advise_both(load)}")
    if encoders > readers:
        return Verdict("encoder-bound", f"{shares}: {_advise_encoders(load)}")
    return Verdict("reader-bound", f"{shares}: {_advise_readers(load)}")


def _describe_start(start: StartTimes) -> str:
    """What a start on Ray consists of, with the seconds of each where they were measured."""
    if not start.ray_s:
        return "starting Ray, processes and encoders"
    return (
        f"starting Ray ({start.ray_s:.1f} s), processes ({start.processes_s:.1f} s) and encoders "
        f"({start.loading_s:.1f} s)"
    )


def _advise_waiting(load: Load) -> str:
    if load.blocks_waiting >= load.encoders:
        return (
            "tiles lay ready while encoders waited, so they were slow to arrive; have readers on "
            "the encoders' nodes, or a faster network between them"
        )
    return "slides are too few or too small to keep processes at work; give one run more slides"


def _advise_both(load: Load) -> str:
    if not load.gpus:
        return _advise_cores(load)
    return "for more speed add readers and GPUs together"


def _advise_encoders(load: Load) -> str:
    if not load.gpus:
        return _advise_cores(load)
    if 0 < load.gpu_busy < DEVICE_IDLE * load.encoder_busy:
        return (
            "GPUs wait for the copying of tiles and vectors; raise --batch-size, or have two "
            f"encoders a GPU (--encoder-workers {2 * math.ceil(load.gpus)})"
        )
    feeds = math.floor(load.gpus * load.encoder_busy / max(load.reader_busy, 0.01) + 1e-6)
    if feeds <= load.gpus:
        return "GPUs are the limit; add one, or take a smaller encoder"
    return f"GPUs are the limit; the readers could feed about {feeds} of them"


def _advise_readers(load: Load) -> str:
    useful = math.ceil(load.readers * load.reader_busy / max(load.encoder_busy, 0.01) - 1e-6)
    if load.storage_wait >= MOSTLY:
        return (
            f"readers wait for storage {load.storage_wait:.0%} of the time that they read; have "
            f"more of them, also more than cores (--readers {useful}), or storage that is nearer"
        )
    busy_s = sum(spent.busy_s for spent in (load.plan, load.read, load.commit))
    kinds = (load.commit, "writing partitions"), (load.plan, "finding tissue")
    into = [f" ({s.busy_s / busy_s:.0%} of it {w})" for s, w in kinds if s.busy_s > MOSTLY * busy_s]
    most = into[0] if into else ""
    if not load.gpus:
        return f"readers are the limit{most}; {_advise_cores(load)}"
    if useful <= load.cores:
        return f"the GPUs wait for readers{most}; about --readers {useful} keep them busy"
    return f"the GPUs wait for readers{most}; about {useful} reader cores keep them busy, add nodes"


def _advise_cores(load: Load) -> str:
    """Advice where readers and encoders share the cores."""
    cores = f"{load.cores} core{'s' if load.cores > 1 else ''}"
    if load.cores_busy >= CORES_FULL:
        return (
            f"both share {cores}, which are the limit ({load.cores_busy:.0%} busy); "
            f"take more cores, or a GPU{FASTER if _encodes_exactly(load) else ''}"
        )
    held = round(load.threads * load.encoders)
    if held < load.cores:
        return (
            f"encoders have {held} of {cores}; raise --encoder-threads "
            f"to {int(load.cores // load.encoders)}"
        )
    return (
        f"both share {cores}, of which they got {load.cores_busy:.0%}; look for other programs on "
        "them, or for a limit on CPU time"
    )


def _encodes_exactly(load: Load) -> bool:
    """Whether most of the cores' time goes into encoding in float32."""
    return load.float32 and load.encode.cpu_s > MOSTLY * load.cores_busy * load.cores * load.work_s
