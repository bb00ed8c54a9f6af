"""What is asked again because a process, a GPU or a node took it along."""

import time
from collections.abc import Callable
from contextlib import suppress

import ray
from ray.exceptions import RayError

from histo_ray.cluster.gather import PING_S
from histo_ray.cluster.membership import DeviceFailure, Membership
from histo_ray.cluster.open_calls import Called
from histo_ray.cluster.pool import PooledActor
from histo_ray.extract.job_group import JobGroup
from histo_ray.extract.reader_queue import Backlog
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.work import EncoderBatch, Ping, ReaderJob, SubjectWork

DEATHS_ALONE = 2
"""Processes that must die under a job that has them to itself before its slide is failed."""
SLIDE_RESTARTS = 5
"""Times that a slide starts over because nodes took its vectors with them."""


class LostCalls:
    """Queues lost work of one run again, and has lost processes pinged until they are back."""

    def __init__(
        self,
        backlog: Backlog,
        members: Membership,
        counts: Counts,
        ping: Callable[[PooledActor], None],
    ) -> None:
        self._backlog = backlog
        self._members = members
        self._counts = counts
        self._ping = ping

    def ask_after_death(self, member: PooledActor, what: Called) -> None:
        """Queue `what` again, whose process died, and ping that until Ray has started it anew."""
        first_word = not member.suspect
        member.suspect, member.slide_id = True, ""
        if self._members.has(member) and (first_word or isinstance(what, Ping)):
            if isinstance(what, Ping):
                time.sleep(PING_S)
            self._ping(member)
        if isinstance(what, Ping):
            return
        self._counts.deaths += first_word
        if isinstance(what, EncoderBatch):
            self._backlog.ready.put_back(what.blocks)
            if first_word:
                self._members.note_encoder_death()
            return
        for job in reversed(what.jobs if isinstance(what, JobGroup) else [what]):
            self._ask_alone(job)

    def _ask_alone(self, job: ReaderJob) -> None:
        """Queue a job whose process died, for one that it has to itself."""
        job.deaths += job.alone
        job.alone = True
        if job.deaths >= DEATHS_ALONE:
            job.work.fail(
                f"the process that tried to {job.kind} it died {job.deaths + 1} times: out of "
                "memory, or the file crashes the decoder"
            )
            return
        self._backlog.jobs.appendleft(job)

    def ask_after_device_failure(
        self, member: PooledActor, what: Called, why: DeviceFailure
    ) -> None:
        """Queue `what` again for others; the encoder whose GPU failed is restarted or left out."""
        if isinstance(what, EncoderBatch):
            self._backlog.ready.put_back(what.blocks)
            _take_note_of_errors(what)
        first_word = not member.suspect
        member.suspect = True
        self._counts.deaths += first_word
        ask_again = self._members.note_device_failure(member, why)
        if ask_again and (first_word or isinstance(what, Ping)):
            self._ping(member)

    def start_over(self, what: Called) -> None:
        """Begin slides again whose pixels or vectors were lost with a node."""
        if isinstance(what, Ping):
            return
        for work in _subjects_of(what):
            if work.finished:
                continue
            work.start_over()
            self._counts.restarts += 1
            if work.restarts > SLIDE_RESTARTS:
                work.fail(f"nodes that held its vectors were lost {work.restarts} times")
                continue
            self._backlog.jobs.append(ReaderJob("plan", work, work.generation))


def _subjects_of(what: ReaderJob | JobGroup | EncoderBatch) -> list[SubjectWork]:
    """Subjects that a call is for."""
    if isinstance(what, EncoderBatch):
        return list({id(block.work): block.work for block in what.blocks}.values())
    return [job.work for job in what.jobs] if isinstance(what, JobGroup) else [what.work]


def _take_note_of_errors(batch: EncoderBatch) -> None:
    """Fetch the error that stands for each of its arrays: Ray prints those that nobody does."""
    for ref in batch.vectors:
        with suppress(RayError):
            ray.get(ref)
