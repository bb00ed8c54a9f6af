"""Queues of a run: subjects, jobs of readers, tiles that were read; and the choice of a job."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence, Set
from itertools import islice
from typing import Any, Protocol

from histo_ray.extract.call_size import tiles_to_read
from histo_ray.extract.job_group import JobGroup, RecentSizes, take_commits
from histo_ray.extract.ready_blocks import ReadyBlocks
from histo_ray.extract.resources import Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.work import ReaderJob, SubjectWork

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
        self.ready = ReadyBlocks()
        """Tiles that were read and wait for an encoder."""
        self.groups_small = True
        """Whether small subjects are planned and read, several in one call."""
        self._sizes = RecentSizes()
        self._asked: Counter[JobTaker] = Counter()
        """Tiles that each reader was asked for."""
        self.siblings: list[SubjectWork] = []
        """Further tilings of slides that are begun; not planned yet."""
        self._planned: set[str] = set()
        self._done: set[str] = set()
        self._failed: set[str] = set()

    def __bool__(self) -> bool:
        """Whether a subject is left."""
        return bool(self.waiting or self.active)

    @property
    def has_work(self) -> bool:
        """Whether something could be given out now."""
        return bool(
            self.ready
            or self.jobs
            or self.siblings
            or any(work.has_unread() for work in self.active)
        )

    def take_finished(self) -> list[SubjectWork]:
        """Remove the subjects that have an outcome."""
        finished = [work for work in self.active if work.finished]
        self.active = [work for work in self.active if not work.finished]
        return finished

    def note_plan(self, work: SubjectWork, counts: Counts) -> None:
        """Count a subject that was planned, once whatever its tilings, and its tiles."""
        if not work.restarts:
            self._planned.add(work.slide_id)
            counts.slides_planned = len(self._planned)
            counts.tiles_planned += work.tiles
            self._sizes.note(work.tiles)

    def note_outcome(self, work: SubjectWork, counts: Counts) -> None:
        """Count the subject of what `take_finished` gave, once the last of its tilings is over."""
        if work.problems:
            self._failed.add(work.slide_id)
        if all(other.slide_id != work.slide_id for other in self.active):
            self._done.add(work.slide_id)
        counts.slides_done, counts.slides_failed = len(self._done), len(self._failed)

    def queue_commits(self, work: SubjectWork) -> None:
        """Queue the partitions of which all vectors are there."""
        for name in work.complete():
            self.jobs.append(ReaderJob("commit", work, work.generation, encoder=name))

    def next_job(
        self, taker: JobTaker, takers: Sequence[JobTaker], load_called: float, workers: Workers
    ) -> ReaderJob | JobGroup | None:
        """Choose what a reader does next.

        A queued job goes first, then tiles of its own slide, a new slide, and last a stretch of
        another reader's.

        Args:
            taker: The reader.
            takers: All readers.
            load_called: Pixels that unfinished calls hold or will bring, in tiles of the run's
                largest size.
            workers: The run's bounds.

        Returns:
            The job, or several for small subjects; None where it has to wait.
        """
        if self.jobs and (not self.jobs[0].alone or not taker.calls):
            return take_commits(self.jobs, workers.call_tiles // 2)
        if (sibling := self._take_sibling(taker, takers)) is not None:
            return ReaderJob("plan", sibling, sibling.generation)
        size = self._tiles_to_read(taker, takers, workers)
        bound = (workers.blocks_in_flight + 1) * workers.batch_size
        room = self.ready.load + load_called + size < bound
        work = self._own_work(taker) if room else None
        if work is None:
            readable = [work for work in self.active if work.has_unread()] if room else []
            others = {other.slide_id for other in takers if other is not taker} if room else ()
            free = [work for work in readable if work.slide_id not in others]
            if not free and self._may_begin(takers):
                return self._begin_several(taker, takers, size if room else 0, workers)
            long_calls = workers.batches_a_call > 1
            alone = long_calls and self.awaits_plan(taker)
            work = next(iter(free if alone else (*free, *readable)), None)
            if free and long_calls:
                free[0].hand_over(taker)
        if work is None:
            return None
        size = workers.batch_of(work.group) if workers.batch_sizes else size
        span = work.take_span(size, taker, workers.batch_of(work.group))
        self._asked[taker] += len(span)
        return ReaderJob("read", work, work.generation, span)

    def awaits_plan(self, taker: JobTaker) -> bool:
        """Whether a reader finds out what tiles its subject has.

        Where calls are long it is not given a stretch of another one's subject meanwhile: it would
        come late to its own, and leave many short stretches.
        """
        return any(work.plan is None and work.slide_id == taker.slide_id for work in self.active)

    def _tiles_to_read(self, taker: JobTaker, takers: Sequence[JobTaker], workers: Workers) -> int:
        """Tiles of this reader's next call."""
        size, most = workers.batch_size, workers.batches_a_call
        unread = None
        if most > 1 and not self.waiting:
            unread = sum(len(left) for work in self.active for left in work.unread.values())
        return tiles_to_read(size, most, self._asked[taker], unread, len(takers))

    def _own_work(self, taker: JobTaker) -> SubjectWork | None:
        """Subject that it has open, if some of that is unread.

        Of several tilings the one whose next tile is topmost, so that they stay side by side and
        share what is decoded.
        """
        own = [w for w in self.active if w.slide_id == taker.slide_id and w.has_unread()]
        if len(own) > 1:
            return min(own, key=lambda work: work.next_y(taker))
        return own[0] if own else None

    def _may_begin(self, takers: Sequence[JobTaker]) -> bool:
        """Whether a new subject is there, and not too many are planned ahead of reading."""
        ahead = {
            w.begun_with or w.slide_id for w in self.active if w.plan is None or w.has_unread()
        }
        return bool(self.waiting) and len(ahead) < len(takers) + AHEAD

    def _take_sibling(self, taker: JobTaker, takers: Sequence[JobTaker]) -> SubjectWork | None:
        """Take another tiling of a slide that it has open, or that nobody else has."""
        if not self.siblings:
            return None
        others = {other.slide_id for other in takers if other is not taker}
        for work in self.siblings:
            if work.slide_id == taker.slide_id or work.slide_id not in others:
                self.siblings.remove(work)
                return work
        return None

    def _begin_several(
        self, taker: JobTaker, takers: Sequence[JobTaker], size: int, workers: Workers
    ) -> ReaderJob | JobGroup:
        """Take a new subject, or several small ones, which are read as they are planned.

        Args:
            taker: The reader.
            takers: All readers.
            size: Tiles that it may read.
            workers: The run's bounds.
        """
        count = 1
        if self.groups_small and not workers.batch_sizes:
            count = self._sizes.count_together(size, len(self.waiting), len(takers))
        if count == 1 or any(w.sent is not w.subject for w in islice(self.waiting, count)):
            return self._begin()
        jobs = [self._begin() for _ in range(count)]
        for job in jobs:
            job.work.begun_with = jobs[0].work.slide_id
        self._asked[taker] += size
        return JobGroup(jobs, size, jobs[0].work.weight)

    def _begin(self) -> ReaderJob:
        """Take a new subject, which is planned first."""
        work = self.waiting.popleft()
        work.began = time.monotonic()
        self.active.append(work)
        while self.waiting and self.waiting[0].slide_id == work.slide_id:
            sibling = self.waiting.popleft()
            sibling.began = work.began
            self.siblings.append(sibling)
            self.active.append(sibling)
        return ReaderJob("plan", work, work.generation)

    def stuck(self) -> list[str]:
        """Subjects without an outcome, where nothing else is left to begin."""
        return [] if self.waiting else [w.slide_id for w in self.active if not w.finished]

    def extend(self, subjects: Iterable[SubjectWork]) -> None:
        """Add subjects that are not begun."""
        self.waiting.extend(subjects)
