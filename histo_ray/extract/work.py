"""The bookkeeping of a run: what each subject still needs, and which blocks share a batch."""

import time
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from histo_ray.extract.slide import SubjectPlan, ink_remark
from histo_ray.extract.subject import Subject
from histo_ray.store.manifest_columns import pack_columns
from histo_ray.types import EncoderFacts, Outcome, RunRow


@dataclass(eq=False)
class ReadyBlock:
    """Tiles that were read and wait for an encoder."""

    work: "SubjectWork"
    generation: int
    start: int
    """tile_id of the first tile."""
    count: int
    pixels: Any
    """Reference to (n, tile_px, tile_px, 3) uint8, all that was read in one call."""
    focus: npt.NDArray[np.float32]
    """(count,)."""
    node: str
    """Node that holds the pixels."""
    first_row: int = 0
    """First row of `pixels` that is its own."""
    since: float = field(default_factory=time.monotonic)
    """time.monotonic() when it was read."""

    @property
    def rows(self) -> slice:
        """Rows of `pixels` that are its own."""
        return slice(self.first_row, self.first_row + self.count)

    @property
    def load(self) -> float:
        """Pixels that it holds, in tiles of the run's largest size."""
        return self.count * self.work.weight

    def cut(self, count: int) -> "tuple[ReadyBlock, ReadyBlock]":
        """Split it into its first `count` tiles and the others."""
        first = replace(self, count=count, focus=self.focus[:count])
        second = replace(
            self,
            start=self.start + count,
            count=self.count - count,
            focus=self.focus[count:],
            first_row=self.first_row + count,
        )
        return first, second


@dataclass(eq=False)
class ReaderJob:
    """One task of a reader: plan a subject, read a span of its tiles, or write a partition."""

    kind: Literal["plan", "read", "commit"]
    work: "SubjectWork"
    generation: int
    span: range = range(0)
    encoder: str = ""
    deaths: int = 0
    """How often a process died under it while it ran there alone."""
    alone: bool = False
    """Whether it must have a process to itself, since one died while it was queued there."""

    @property
    def load(self) -> float:
        """Pixels that it brings, in tiles of the run's largest size."""
        return len(self.span) * self.work.weight

    @property
    def is_stale(self) -> bool:
        """Whether its subject is finished, or has started over since it was queued."""
        return self.generation != self.work.generation or self.work.finished


@dataclass
class EncoderBatch:
    """Blocks that an encoder works on."""

    blocks: list[ReadyBlock]
    names: tuple[str, ...]
    """Names of the encoders that see them."""
    vectors: Sequence[Any]
    """One reference an encoder, to (sum of counts, D)."""

    @property
    def load(self) -> float:
        """Pixels that it holds, in tiles of the run's largest size."""
        return sum(block.load for block in self.blocks)


@dataclass
class Ping:
    """A question to a process that is new, or was lost, whether it is ready."""

    load = 0.0
    """Pixels that it brings."""


@dataclass(eq=False)
class SubjectWork:
    """One slide in one tiling, or a tile set, on its way through a run."""

    subject: Subject
    encoders: tuple[str, ...]
    """Names of the encoders whose partition the store lacks for it."""
    generation: int = 0
    """Raised when the slide starts over; answers to older questions are dropped."""
    plan: SubjectPlan | None = None
    plan_ref: Any = None
    unread: dict[Hashable, range] = field(default_factory=dict)
    """Tiles that no reader was given yet, by the reader that comes to them."""
    pieces: dict[str, dict[int, Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    """Encoders that failed on it, and why."""
    committed: dict[str, int] = field(default_factory=dict)
    """Encoders whose partition is in the store, and its tiles."""
    commits_queued: set[str] = field(default_factory=set)
    restarts: int = 0
    began: float = field(default_factory=time.monotonic)
    sent: Any = None
    """What readers in other processes are given: the subject, or a reference to it."""
    begun_with: str = ""
    """The first of the subjects that one call plans, where it plans several; empty: itself."""
    group: int = 0
    """Which of the run's tilings it is in."""
    weight: float = 1.0
    """Pixels of a tile, in tiles of the run's largest size."""
    tiling: str = ""
    """Fingerprint of its tiling, where the run has several."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """What this tiling breaches of encoders' contracts, where the run has several tilings."""

    def __post_init__(self) -> None:
        """Send the subject itself, unless told otherwise."""
        self.sent = self.sent or self.subject

    @property
    def slide_id(self) -> str:
        """Name of its partitions."""
        return self.subject.slide_id

    @property
    def tiles(self) -> int:
        """Tiles of the grid; 0 before it is planned."""
        return len(self.plan.grid) if self.plan else 0

    @property
    def encoders_left(self) -> tuple[str, ...]:
        """Encoders without an outcome yet, which need its pixels."""
        return tuple(n for n in self.encoders if n not in self.problems and n not in self.committed)

    @property
    def finished(self) -> bool:
        """Whether every encoder has an outcome."""
        for name in self.encoders:  # asked for all the time: no list is made
            if name not in self.problems and name not in self.committed:
                return False
        return True

    def has_unread(self) -> bool:
        """Whether a block of it can be read now."""
        return bool(self.unread) and not self.finished

    def begin(self, plan: SubjectPlan, plan_ref: Any, reader: Hashable) -> None:
        """Take the plan that `reader` made; it comes to all tiles until others help."""
        self.plan, self.plan_ref = plan, plan_ref
        self.pieces = {name: {} for name in self.encoders}
        self.unread = {reader: range(self.tiles)} if self.tiles else {}

    def take_span(self, size: int, reader: Hashable, step: int = 0) -> range:
        """Give `reader` the next tiles to read.

        They follow those it read last, so that what it has decoded for one row serves the next. A
        reader that has none takes the second half of the longest stretch of another one.

        Args:
            size: Most tiles.
            reader: Who asks.
            step: Tiles that a stretch too short for two calls is not cut between; 0: `size`.
        """
        if reader not in self.unread:
            other = max(self.unread, key=lambda name: len(self.unread[name]))
            theirs = self.unread.pop(other)
            step = step if step and len(theirs) < 2 * size else size
            cut = theirs.start + len(theirs) // step // 2 * step
            if cut > theirs.start:
                self.unread[other] = range(theirs.start, cut)
            self.unread[reader] = range(cut, theirs.stop)
        left = self.unread.pop(reader)
        if left[size:]:
            self.unread[reader] = left[size:]
        return left[:size]

    def hand_over(self, reader: Hashable) -> None:
        """Give the longest stretch to `reader`, whole: nobody else is at work on it."""
        if reader not in self.unread:
            longest = max(self.unread, key=lambda name: len(self.unread[name]))
            self.unread[reader] = self.unread.pop(longest)

    def next_y(self, reader: Hashable) -> int:
        """Level-0 y of the next tile that `take_span` would give to `reader`."""
        if self.plan is None or not self.unread:
            return 0
        longest = max(self.unread.values(), key=len)
        middle = longest.start + len(longest) // 2
        start = self.unread[reader].start if reader in self.unread else middle
        return int(self.plan.grid.coords[start, 1])

    def facts_of(self, encoder: EncoderFacts) -> EncoderFacts:
        """Facts of an encoder for a receipt in this tiling."""
        if not self.broken:
            return encoder
        return encoder.model_copy(update={"contract_broken": self.broken[encoder.name]})

    def start_over(self) -> None:
        """Forget everything but what is committed: what was in flight is lost."""
        self.generation += 1
        self.restarts += 1
        self.plan = self.plan_ref = None
        self.unread.clear()
        self.pieces.clear()
        self.commits_queued.clear()

    def encoded_tiles(self, name: str) -> int:
        """Tiles of which `name` has returned vectors."""
        return sum(piece.rows.stop - piece.rows.start for piece in self.pieces[name].values())

    def complete(self) -> list[str]:
        """Encoders that have all vectors and are not being committed yet; notes that they are."""
        names = [
            name
            for name in self.encoders_left
            if name not in self.commits_queued and self.encoded_tiles(name) == self.tiles
        ]
        self.commits_queued.update(names)
        return names

    def fail(self, reason: str) -> None:
        """Fail it for every encoder that has not committed it."""
        for name in self.encoders_left:
            self.problems[name] = reason
        self.pieces.clear()

    def release(self) -> None:
        """Drop what a finished slide no longer needs: grid and references to its arrays."""
        self.plan = self.plan_ref = None
        self.pieces.clear()

    def rows(self) -> list[RunRow]:
        """Its rows of the run table."""
        seconds = time.monotonic() - self.began
        empty = self.plan.empty_reason if self.plan else ""
        remark = ink_remark(self.plan.slide) if self.plan else ""
        rows = []
        for name in self.encoders:
            outcome = Outcome.EMPTY if empty else Outcome.DONE
            if name in self.problems:
                outcome = Outcome.FAILED
            reason = self.problems.get(name, empty or remark)
            tiles = self.committed.get(name, 0)
            row = row_of(self.subject, name, outcome, reason, tiles, seconds)
            rows.append(replace(row, tiling=self.tiling))
        return rows


def row_of(
    subject: Subject,
    encoder: str,
    outcome: Outcome,
    reason: str = "",
    n_tiles: int = 0,
    seconds: float = 0.0,
) -> RunRow:
    """Row of the run table, with what the manifest says of the subject and no receipt keeps."""
    return RunRow(
        subject.slide_id,
        encoder,
        outcome,
        reason,
        n_tiles,
        seconds,
        subject.patient_id,
        subject.synthetic,
        subject.site,
        pack_columns(subject.extra),
    )


def pack_batch(
    ready: Sequence[ReadyBlock], size: int, *, flush: bool, step: int = 0
) -> tuple[list[ReadyBlock], deque[ReadyBlock]]:
    """Choose waiting tiles for one call of an encoder: those for the same encoders, oldest first.

    Args:
        ready: Blocks in order of arrival.
        size: Most tiles of a call; the last block is cut where it would hold more.
        flush: Whether to return fewer tiles than asked for: those like the oldest block.
        step: Tiles of a batch: as many full ones as there are will do; 0: only `size` tiles do.

    Returns:
        Blocks of at most `size` tiles together, or nothing if waiting may fill the call; and what
        is left, in order.
    """
    groups: dict[tuple[str, ...], list[ReadyBlock]] = {}
    totals: Counter[tuple[str, ...]] = Counter()
    for block in ready:
        names = block.work.encoders_left
        groups.setdefault(names, []).append(block)
        totals[names] += block.count
        if totals[names] >= size:
            break
    names, total = totals.most_common(1)[0] if totals else ((), 0)
    if step and step <= total < size:
        size = total // step * step
    if total < size:
        if not ready or not flush:
            return [], deque(ready)
        names = ready[0].work.encoders_left
        total = totals[names]
    chosen, left = groups[names], deque(ready)
    while total - chosen[-1].count >= size:
        total -= chosen.pop().count
    for block in chosen:
        left.remove(block)
    if total > size:
        chosen[-1], rest = chosen[-1].cut(chosen[-1].count - (total - size))
        left.appendleft(rest)
    return chosen, left


def drop_stale(ready: Iterable[ReadyBlock]) -> deque[ReadyBlock]:
    """Blocks of subjects that go on and have not started over since they were read."""
    return deque(b for b in ready if b.generation == b.work.generation and not b.work.finished)
