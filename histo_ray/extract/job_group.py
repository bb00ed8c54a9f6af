"""Small subjects, such as biopsies, several of which are worked on in one call.

A call costs its reader and the driver milliseconds whatever it does, which is as much as a biopsy
of twenty tiles takes. Pure.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from histo_ray.extract.work import ReaderJob

MOST_SUBJECTS = 16
"""Subjects of a call: all of them are done again, one by one, if its process dies."""
RECENT = 16
"""Subjects, the last that were planned, that tell how many tiles the next ones have."""


@dataclass(eq=False)
class JobGroup:
    """Jobs of one kind for several subjects: all are planned, or of all a partition is written."""

    jobs: list[ReaderJob]
    lead: int = 0
    """Most tiles, of all subjects together, that are read in the call that plans them."""
    weight: float = 1.0
    """Pixels of a tile, in tiles of the run's largest size."""

    @property
    def kind(self) -> Literal["plan", "read", "commit"]:
        """What is done."""
        return self.jobs[0].kind

    @property
    def load(self) -> float:
        """Pixels that it brings at most, in tiles of the run's largest size."""
        return self.lead * self.weight

    def drop_stale(self) -> None:
        """Drop jobs of subjects that are finished or have started over."""
        self.jobs = [job for job in self.jobs if not job.is_stale]


class RecentSizes:
    """Tiles of the subjects that were planned lately."""

    def __init__(self) -> None:
        self._tiles: deque[int] = deque(maxlen=RECENT)

    def note(self, tiles: int) -> None:
        """Take a subject that was planned."""
        self._tiles.append(tiles)

    def count_together(self, call_tiles: int, waiting: int, readers: int) -> int:
        """Subjects that one call plans and reads: as many as probably fill it.

        Args:
            call_tiles: Tiles that the call may read.
            waiting: Subjects that are not begun; towards the end all readers get some.
            readers: Readers of the run.
        """
        if not self._tiles:
            return 1
        mean = max(1.0, sum(self._tiles) / len(self._tiles))
        share = max(1, waiting // (2 * readers))
        return max(1, min(MOST_SUBJECTS, int(call_tiles / mean), share))


def take_commits(jobs: deque[ReaderJob], most_tiles: int) -> ReaderJob | JobGroup:
    """Take the first job, and with it the next ones if all write small partitions.

    Args:
        jobs: Queued jobs, at least one.
        most_tiles: Tiles of a partition that counts as small.
    """
    taken = [jobs.popleft()]
    if _is_small_commit(taken[0], most_tiles):
        while jobs and len(taken) < MOST_SUBJECTS and _is_small_commit(jobs[0], most_tiles):
            taken.append(jobs.popleft())
    return taken[0] if len(taken) == 1 else JobGroup(taken)


def _is_small_commit(job: ReaderJob, most_tiles: int) -> bool:
    return job.kind == "commit" and not job.alone and job.work.tiles <= most_tiles
