"""Queues of a run: subjects, jobs of readers, tiles that were read; and the choice of a job."""

import time
from collections import deque
from collections.abc import Iterable, Sequence, Set
from typing import Any, Protocol

from histo_ray.extract.resources import Workers
from histo_ray.extract.work import ReaderJob, ReadyBlock, SubjectWork

AHEAD = 2
"""Subjects planned, and not read to their end, beyond one a reader."""


class JobTaker(Protocol):
    """A reader that takes jobs."""

    slide_id: str
    """Subject that it read last and has open."""

    def __hash__(self) -> int: ...

    @property
    def calls(self) -> Set[Any]:
        """Its unfinished calls."""


class Backlog:
    """Subjects, jobs and blocks of one run that wait."""

    def __init__(self) -> None:
        self.waiting: deque[SubjectWork] = deque()
        """Subjects that are not begun."""
        self.active: list[SubjectWork] = []
        """Subjects at work."""
        self.jobs: deque[ReaderJob] = deque()
        """Jobs that go before all others."""
        self.ready: deque[ReadyBlock] = deque()
        """Tiles that were read and wait for an encoder."""

    def __bool__(self) -> bool:
        """Whether a subject is left."""
        return bool(self.waiting or self.active)

    @property
    def has_work(self) -> bool:
        """Whether something could be given out now."""
        return bool(self.ready or self.jobs or any(work.has_unread() for work in self.active))

    def take_finished(self) -> list[SubjectWork]:
        """Remove the subjects that have an outcome."""
        finished = [work for work in self.active if work.finished]
        self.active = [work for work in self.active if not work.finished]
        return finished

    def queue_commits(self, work: SubjectWork) -> None:
        """Queue the partitions of which all vectors are there."""
        for name in work.complete():
            self.jobs.append(ReaderJob("commit", work, work.generation, encoder=name))

    def next_job(
        self, taker: JobTaker, takers: Sequence[JobTaker], tiles_called: int, workers: Workers
    ) -> ReaderJob | None:
        """Choose what a reader does next.

        A queued job goes first, then tiles of its own slide, a new slide, and last a stretch of
        another reader's.

        Args:
            taker: The reader.
            takers: All readers.
            tiles_called: Tiles whose pixels unfinished calls hold or will bring.
            workers: The run's bounds.

        Returns:
            The job; None where it has to wait.
        """
        if self.jobs and (not self.jobs[0].alone or not taker.calls):
            return self.jobs.popleft()
        tiles = sum(block.count for block in self.ready) + tiles_called
        others = {other.slide_id for other in takers if other is not taker}
        readable: list[SubjectWork] = []
        if tiles < workers.blocks_in_flight * workers.batch_size:
            readable = [work for work in self.active if work.has_unread()]
        mine = [work for work in readable if work.slide_id == taker.slide_id]
        free = [work for work in readable if work.slide_id not in others]
        ahead = sum(work.plan is None or work.has_unread() for work in self.active)
        if not mine and not free and self.waiting and ahead < len(takers) + AHEAD:
            work = self.waiting.popleft()
            work.began = time.monotonic()
            self.active.append(work)
            return ReaderJob("plan", work, work.generation)
        for work in (*mine, *free, *readable):
            span = work.take_span(workers.batch_size, taker)
            return ReaderJob("read", work, work.generation, span)
        return None

    def stuck(self) -> list[str]:
        """Subjects without an outcome, where nothing else is left to begin."""
        return [] if self.waiting else [w.slide_id for w in self.active if not w.finished]

    def extend(self, subjects: Iterable[SubjectWork]) -> None:
        """Add subjects that are not begun."""
        self.waiting.extend(subjects)
