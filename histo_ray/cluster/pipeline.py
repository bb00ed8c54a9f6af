"""The driver's loop: slides in, receipts out, pixels never seen here.

It moves references only. Memory is bounded by `Workers.blocks_in_flight`, whatever the slides'
sizes. A process that dies costs the calls in flight on it; they are asked again elsewhere. A job
under which processes keep dying is given one to itself, and fails its slide when that dies too.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import ray
from ray.exceptions import (
    ObjectLostError,
    OwnerDiedError,
    RayActorError,
    RayTaskError,
)

from histo_ray.cluster.actors import Piece, SlideFailure
from histo_ray.cluster.membership import Team
from histo_ray.cluster.pool import Member, dismiss, original_error
from histo_ray.errors import HistoRayError
from histo_ray.extract.meter import Answer
from histo_ray.extract.resources import Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.slide import nonfinite_problem
from histo_ray.extract.work import Batch, Job, Ping, ReadyBlock, SlideWork, drop_stale, pack_batch
from histo_ray.types import EncoderFacts

DEATHS_ALONE = 2
"""So many processes must die under a job that has them to itself before its slide is failed."""
SLIDE_RESTARTS = 5
"""So often a slide starts over because nodes took its vectors with them."""
PING_S = 0.2
"""Between questions whether a lost process is back."""
AHEAD = 2
"""Slides planned, and not read to their end, beyond one a reader."""
WAIT_S = 30.0
"""Tiles that no others fill a batch with, as of the one slide that lacks one encoder, wait so long
for an encoder that has nothing else to do."""
_LOST = (ObjectLostError, OwnerDiedError)


class Pipeline:
    """One run over some slides. `run` returns when every slide has an outcome."""

    def __init__(
        self,
        readers: list[Member],
        encoders: list[Member],
        facts: dict[str, EncoderFacts],
        workers: Workers,
        run_id: str,
        *,
        plan_only: bool = False,
    ) -> None:
        self._plan_only = plan_only
        self._team = Team(readers, encoders, facts)
        self.facts = facts
        self.workers = workers
        self._run_id = run_id
        self._waiting: deque[SlideWork] = deque()
        self._active: list[SlideWork] = []
        self._jobs: deque[Job] = deque()
        self._ready: deque[ReadyBlock] = deque()
        self._calls: dict[Any, tuple[Member, Job | Batch | Ping, Any]] = {}
        self.recruit: Callable[[Pipeline], None] = lambda pipeline: None
        self.counts = Counts(0)
        self.report: Callable[[Counts], None] = lambda counts: None

    @property
    def readers(self) -> list[Member]:
        """Its readers, those that have not answered yet included."""
        return self._team.readers

    @property
    def encoders(self) -> list[Member]:
        """Its encoders, likewise."""
        return self._team.encoders

    def run(self, slides: Iterable[SlideWork], finish: Callable[[SlideWork], None]) -> None:
        """Work until all slides have an outcome; `finish` is called with each.

        Afterwards its plan and its vectors are let go.

        Raises:
            HistoRayError: Something that is not one slide's fate.
        """
        self._waiting.extend(slides)
        self.counts.slides = len(self._waiting)
        self.counts.turn(0)
        self._team.mind_silence(heard=True)
        while self._waiting or self._active:
            self.recruit(self)
            self._feed_readers()
            self._feed_encoders()
            self._collect()
            for work in [work for work in self._active if work.finished]:
                self._active.remove(work)
                self.counts.slides_done += 1
                self.counts.slides_failed += bool(work.problems)
                finish(work)
                work.release()
            self.counts.turn(len(self._ready))
            self.report(self.counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End its processes."""
        dismiss((*self.readers, *self.encoders))

    def join(self, readers: Sequence[Member], encoders: Sequence[Member]) -> None:
        """Take more processes; each gets work once it answers."""
        self.readers.extend(readers)
        self.encoders.extend(encoders)
        for member in (*readers, *encoders):
            member.suspect = True
            self._calls[member.handle.ready.remote()] = (member, Ping(), None)

    def _feed_readers(self) -> None:
        for member in sorted(self.readers, key=lambda member: len(member.calls)):
            while member.has_room:
                job = self._next_job(member)
                if job is None:
                    break
                self._ask_reader(member, job)

    def _next_job(self, member: Member) -> Job | None:
        if self._jobs and (not self._jobs[0].alone or not member.calls):
            return self._jobs.popleft()
        tiles = sum(block.count for block in self._ready) + sum(
            what.tiles for _, what, _ in self._calls.values()
        )
        others = {other.slide_id for other in self.readers if other is not member}
        readable: list[SlideWork] = []
        if tiles < self.workers.blocks_in_flight * self.workers.batch_size:
            readable = [work for work in self._active if work.has_unread()]
        mine = [work for work in readable if work.slide.slide_id == member.slide_id]
        free = [work for work in readable if work.slide.slide_id not in others]
        ahead = sum(work.plan is None or work.has_unread() for work in self._active)
        may_plan = ahead < len(self.readers) + AHEAD
        if not mine and not free and self._waiting and may_plan:
            work = self._waiting.popleft()
            work.began = time.monotonic()
            self._active.append(work)
            return Job("plan", work, work.generation)
        for work in (*mine, *free, *readable):
            span = work.take_span(self.workers.batch_size, member)
            return Job("read", work, work.generation, span)
        return None

    def _ask_reader(self, member: Member, job: Job) -> None:
        work, actor = job.work, member.handle
        if job.generation != work.generation or work.finished:
            return
        kept = None
        if job.kind == "plan":
            kept, answer = actor.plan.options(num_returns=2).remote(work.subject)
        elif job.kind == "read":
            kept, answer = actor.read.options(num_returns=2).remote(
                work.subject, work.plan_ref, job.span
            )
        else:
            pieces = list(work.pieces.get(job.encoder, {}).values())
            facts = self.facts[job.encoder]
            answer = actor.commit.remote(work.plan_ref, facts, pieces, self._run_id)
        if job.kind != "commit":
            member.slide_id = work.slide.slide_id
        member.exclusive = job.alone
        member.calls.add(answer)
        self._calls[answer] = (member, job, kept)

    def _feed_encoders(self) -> None:
        self._ready = drop_stale(self._ready)
        reading = any(
            isinstance(what, Job) and what.kind == "read" for _, what, _ in self._calls.values()
        )
        while self._ready:
            room = [member for member in self.encoders if member.has_room]
            if not room:
                return
            waited = time.monotonic() - self._ready[0].since
            flush = not reading or waited > WAIT_S
            blocks, left = pack_batch(self._ready, self.workers.batch_size, flush=flush)
            if not blocks:
                return
            near = [member for member in room if member.node == blocks[0].node]
            member = min(near or room, key=lambda member: len(member.calls))
            self._ready = left
            names = blocks[0].work.encoders_left
            *vectors, answer = member.handle.encode.options(num_returns=len(names) + 1).remote(
                names,
                self.workers.batch_size,
                [block.rows for block in blocks],
                *(block.pixels for block in blocks),
            )
            self.counts.encode_began = self.counts.encode_began or time.monotonic()
            member.calls.add(answer)
            self._calls[answer] = (member, Batch(blocks, names, vectors), None)

    def _collect(self) -> None:
        if not self._calls:
            if self._ready or self._jobs or any(w.has_unread() for w in self._active):
                return
            stuck = [work.slide.slide_id for work in self._active if not work.finished]
            if stuck and not self._waiting:
                raise HistoRayError(
                    f"run: slides {stuck[:5]} wait for nothing; report this as a bug"
                )
            return
        pending = list(self._calls)
        done, rest = ray.wait(pending, num_returns=1, timeout=1.0, fetch_local=False)
        if done and rest:
            done += ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)[0]
        self._team.mind_silence(bool(done))
        for answer in done:
            member, what, kept = self._calls.pop(answer)
            member.calls.discard(answer)
            member.exclusive = False
            try:
                value = self._fetch(member, what, answer, kept)
            except RayActorError:
                self._mourn(member, what)
            except _LOST:
                self._start_over(what)
            except RayTaskError as error:
                if isinstance(what, Ping):
                    self._team.leave_out(member, original_error(error))
                elif isinstance(error.cause, _LOST):
                    self._start_over(what)
                else:
                    raise original_error(error) from None
            else:
                if isinstance(what, Ping):
                    self._team.welcome(member, *value)
                elif isinstance(what, Batch):
                    self._take_vectors(what, value)
                else:
                    self._take_answer(member, what, value, kept)

    def _fetch(self, member: Member, what: Job | Batch | Ping, answer: Any, kept: Any) -> Any:
        """What a call gave; notes what it cost."""
        value = ray.get(answer)
        if not isinstance(value, Answer):
            return value
        member.note(what.kind if isinstance(what, Job) else "encode", value.spent)
        planned = isinstance(what, Job) and what.kind == "plan" and value.value is None
        return ray.get(kept) if planned else value.value

    def _take_answer(self, member: Member, job: Job, value: Any, kept: Any) -> None:
        work = job.work
        if job.generation != work.generation or work.finished:
            return
        if isinstance(value, SlideFailure):
            work.fail(value.problem)
        elif job.kind == "plan":
            work.begin(value, kept, member)
            self.counts.slides_planned += work.restarts == 0
            self.counts.tiles_planned += work.tiles if work.restarts == 0 else 0
            if self._plan_only:
                work.committed = dict.fromkeys(work.wanted, work.tiles)
            self._queue_commits(work)  # a slide without tiles has nothing to wait for
        elif job.kind == "read":
            self.counts.tiles_read += len(job.span)
            block = ReadyBlock(
                work, job.generation, job.span.start, len(job.span), kept, value, member.node
            )
            self._ready.append(block)
        else:
            work.committed[job.encoder] = value
            work.pieces.pop(job.encoder, None)

    def _take_vectors(self, batch: Batch, unusable: Sequence[Any]) -> None:
        self._team.note_encoded()
        self.counts.encode_ended = time.monotonic()
        at = 0
        for block in batch.blocks:
            rows, work = slice(at, at + block.count), block.work
            at = rows.stop
            if block.generation != work.generation:
                continue
            self.counts.tiles_encoded += block.count
            for name, vectors, bad in zip(batch.names, batch.vectors, unusable, strict=True):
                self.counts.vectors[name] += block.count
                if name not in work.encoders_left:
                    continue
                if bad[rows].any():
                    tile_id = block.start + int(bad[rows].argmax())
                    dtype = self.facts[name].dtype
                    work.problems[name] = nonfinite_problem(name, tile_id, dtype)
                    continue
                work.pieces[name][block.start] = Piece(block.start, vectors, rows, block.focus)
            self._queue_commits(work)

    def _queue_commits(self, work: SlideWork) -> None:
        for name in work.complete():
            self._jobs.append(Job("commit", work, work.generation, encoder=name))

    def _mourn(self, member: Member, what: Job | Batch | Ping) -> None:
        """A process died with `what` in flight: ask again, once Ray has started it anew."""
        first_word = not member.suspect
        member.suspect, member.slide_id = True, ""
        if first_word or isinstance(what, Ping):
            if isinstance(what, Ping):
                time.sleep(PING_S)
            self._calls[member.handle.ready.remote()] = (member, Ping(), None)
        if isinstance(what, Ping):
            return
        self.counts.deaths += first_word
        if isinstance(what, Batch):
            self._ready.extendleft(reversed(what.blocks))
            if first_word:
                self._team.note_encoder_death()
            return
        what.deaths += what.alone
        what.alone = True
        if what.deaths >= DEATHS_ALONE:
            what.work.fail(
                f"the process that tried to {what.kind} it died {what.deaths + 1} times: out of "
                "memory, or the file crashes the decoder"
            )
            return
        self._jobs.appendleft(what)

    def _start_over(self, what: Job | Batch | Ping) -> None:
        """A node took pixels or vectors with it: their slides begin again."""
        if isinstance(what, Ping):
            return
        for work in (
            {id(b.work): b.work for b in what.blocks}.values()
            if isinstance(what, Batch)
            else [what.work]
        ):
            if work.finished:
                continue
            work.start_over()
            self.counts.restarts += 1
            if work.restarts > SLIDE_RESTARTS:
                work.fail(f"nodes that held its vectors were lost {work.restarts} times")
                continue
            self._jobs.append(Job("plan", work, work.generation))
