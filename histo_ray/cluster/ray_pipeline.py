"""The driver's loop: slides in, receipts out, pixels never seen here.

It moves references only. Memory is bounded by `Workers.blocks_in_flight`, whatever the slides'
sizes. A process that dies costs the calls in flight on it; they are asked again elsewhere. A job
under which processes keep dying is given one to itself, and fails its slide when that dies too.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import ray
from ray.exceptions import (
    ObjectLostError,
    OwnerDiedError,
    RayActorError,
    RayTaskError,
)

from histo_ray.cluster.call_values import EncodedBlock, EncodeResult, SlideFailure, name_devices
from histo_ray.cluster.grouped_calls import ask_group, join_blocks, take_begun
from histo_ray.cluster.lost_calls import LostCalls
from histo_ray.cluster.membership import Membership, describe_exclusion
from histo_ray.cluster.metrics_export import Push
from histo_ray.cluster.open_calls import Called, OpenCall, OpenCalls
from histo_ray.cluster.pool import PooledActor, kill_actors, original_error
from histo_ray.errors import DeviceError, DeviceMemoryError, HistoRayError
from histo_ray.extract.call_size import EncodingPace
from histo_ray.extract.job_group import JobGroup
from histo_ray.extract.meter import CallResult
from histo_ray.extract.metric_samples import Sample
from histo_ray.extract.pipeline import Report
from histo_ray.extract.reader_queue import Backlog
from histo_ray.extract.resources import Node, Workers, shorten_calls
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.slide import nonfinite_problem
from histo_ray.extract.work import (
    EncoderBatch,
    Ping,
    ReaderJob,
    ReadyBlock,
    SubjectWork,
)
from histo_ray.types import EncoderFacts

WAIT_S = 30.0
"""Tiles that no others fill a batch with, as of the one slide that lacks one encoder, wait so long
for an encoder that has nothing else to do."""
BUSY_CALLS = 2
"""An encoder with so many calls waits for tiles until there are enough for a long one."""
_LOST = (ObjectLostError, OwnerDiedError)


class RayPipeline:
    """Readers and encoders at work on the subjects of one run; a `RunPipeline`."""

    takes_turns = False

    def __init__(
        self,
        readers: list[PooledActor],
        encoders: list[PooledActor],
        facts: dict[str, EncoderFacts],
        workers: Workers,
        run_id: str,
        *,
        plan_only: bool = False,
    ) -> None:
        self._plan_only = plan_only
        self.counts = Counts(0)
        self._members = Membership(readers, encoders, facts, self.counts)
        self.facts = facts
        self.workers = workers
        self._run_id = run_id
        self._backlog = Backlog()
        self._backlog.groups_small = not plan_only
        self._lost = LostCalls(self._backlog, self._members, self.counts, self._ping)
        self._calls = OpenCalls()
        self._pace = EncodingPace()
        self.use_new_nodes: Callable[[RayPipeline], None] = lambda pipeline: None
        self.nodes: list[Node] = []
        self.report: Report = lambda counts: None
        self.push: Push = lambda samples: None

    @property
    def readers(self) -> list[PooledActor]:
        """Readers, those that are not ready yet included."""
        return self._members.readers

    @property
    def encoders(self) -> list[PooledActor]:
        """Encoders, those that are not ready yet included."""
        return self._members.encoders

    def run(self, slides: Iterable[SubjectWork], finish: Callable[[SubjectWork], None]) -> None:
        """Work until all slides have an outcome; `finish` is called with each.

        Afterwards its plan and its vectors are let go.

        Raises:
            HistoRayError: Something that is not one slide's fate.
        """
        self._backlog.extend(slides)
        self.counts.slides = len({work.slide_id for work in self._backlog.waiting})
        self.counts.turn(0)
        self._members.warn_if_stalled(heard=True)
        while self._backlog:
            self.use_new_nodes(self)
            self._feed_encoders()
            self._feed_readers()
            self._collect()
            for work in self._backlog.take_finished():
                self._backlog.note_outcome(work, self.counts)
                finish(work)
                work.release()
            self.counts.turn(len(self._backlog.ready))
            self.report(self.counts)

    def export(self, samples: Sequence[Sample]) -> None:
        """Hand metrics to Ray."""
        self.push(samples)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End its processes."""
        kill_actors((*self.readers, *self.encoders))

    def note_start(
        self, facts: Mapping[PooledActor, Sequence[EncoderFacts]], failures: Iterable[Exception]
    ) -> None:
        """Note what its encoders run on, and why others are not among them."""
        for member, loaded in facts.items():
            self._members.note_devices(member, {about.name: about for about in loaded})
        self.counts.left_out += [describe_exclusion(why) for why in failures]

    def join(self, readers: Sequence[PooledActor], encoders: Sequence[PooledActor]) -> None:
        """Take more actors; each gets work once it is ready."""
        self.readers.extend(readers)
        self.encoders.extend(encoders)
        for member in (*readers, *encoders):
            member.suspect = True
            self._ping(member)

    def _ping(self, member: PooledActor) -> None:
        self._calls.add(member.handle.ready.remote(), OpenCall(member, Ping()))

    def _suit_calls(self) -> Workers:
        """The run's bounds, with calls as long as suits what its encoders have taken lately."""
        most = self.workers.batches_a_call
        batches = self._pace.batches_in_time(self.workers.batch_size, most)
        return self.workers if batches == most else shorten_calls(self.workers, batches)

    def _feed_readers(self) -> None:
        backlog, workers = self._backlog, self._suit_calls()
        for member in sorted(self.readers, key=lambda member: len(member.calls)):
            while member.has_room:
                job = backlog.next_job(member, self.readers, self._calls.load, workers)
                if job is None and (backlog.jobs or backlog.awaits_plan(member)):
                    break  # for another one there may be something all the same
                if job is None:
                    return
                if isinstance(job, JobGroup):
                    self._ask_group(member, job)
                else:
                    self._ask_reader(member, job)

    def _ask_group(self, member: PooledActor, group: JobGroup) -> None:
        group.drop_stale()
        if not group.jobs:
            return
        step = self.workers.batch_size
        kept, answer = ask_group(member, group, self.facts, self._run_id, step)
        if group.kind == "plan":
            member.slide_id = group.jobs[-1].work.slide_id
        member.calls.add(answer)
        self._calls.add(answer, OpenCall(member, group, kept))

    def _ask_reader(self, member: PooledActor, job: ReaderJob) -> None:
        work, actor = job.work, member.handle
        if job.is_stale:
            return
        kept = None
        if job.kind == "plan":
            kept, answer = actor.plan.options(num_returns=2).remote(work.sent)
        elif job.kind == "read":
            kept, answer = actor.read.options(num_returns=2).remote(
                work.sent, work.plan_ref, job.span, self.workers.batch_of(work.group)
            )
        else:
            pieces = list(work.pieces.get(job.encoder, {}).values())
            facts = name_devices(work.facts_of(self.facts[job.encoder]), pieces)
            answer = actor.commit.remote(work.plan_ref, facts, pieces, self._run_id)
        if job.kind != "commit":
            member.slide_id = work.slide_id
        member.exclusive = job.alone
        member.calls.add(answer)
        self._calls.add(answer, OpenCall(member, job, kept))

    def _feed_encoders(self) -> None:
        backlog, workers = self._backlog, self._suit_calls()
        backlog.ready.drop_stale()
        while backlog.ready:
            room = [member for member in self.encoders if member.has_room]
            if not room:
                return
            waited = time.monotonic() - backlog.ready.since
            flush = not self._calls.reads or waited > WAIT_S
            hungry = min(len(member.calls) for member in room) < BUSY_CALLS
            blocks: list[ReadyBlock] = []
            for group in backlog.ready.groups:
                size = workers.batch_of(group)
                blocks = backlog.ready.take(
                    size * workers.batches_a_call,
                    flush=flush,
                    step=size if hungry else 0,
                    group=group if workers.batch_sizes else None,
                )
                if blocks:
                    break
            if not blocks:
                return
            near = [member for member in room if member.node == blocks[0].node]
            member = min(near or room, key=lambda member: len(member.calls))
            names = blocks[0].work.encoders_left
            rows, pixels = join_blocks(blocks)
            *vectors, answer = member.handle.encode.options(num_returns=len(names) + 1).remote(
                names,
                workers.batch_of(blocks[0].work.group),
                rows,
                *pixels,
            )
            self.counts.encode_began = self.counts.encode_began or time.monotonic()
            member.calls.add(answer)
            self._calls.add(answer, OpenCall(member, EncoderBatch(blocks, names, vectors)))

    def _collect(self) -> None:
        if not self._calls:
            stuck = self._backlog.stuck()
            if stuck and not self._backlog.has_work:
                raise HistoRayError(
                    f"run: slides {stuck[:5]} wait for nothing; report this as a bug"
                )
            return
        done = self._calls.wait(1.0)
        self._members.warn_if_stalled(bool(done))
        for answer in done:
            member, what, kept = self._calls.take(answer)
            member.calls.discard(answer)
            member.exclusive = False
            try:
                value = self._fetch(member, what, answer, kept)
            except RayActorError:
                self._lost.ask_after_death(member, what)
            except _LOST:
                self._lost.start_over(what)
            except RayTaskError as error:
                why = original_error(error)
                if isinstance(why, DeviceError | DeviceMemoryError):
                    self._lost.ask_after_device_failure(member, what, why)
                elif isinstance(what, Ping):
                    self._members.exclude(member, why)
                elif isinstance(error.cause, _LOST):
                    self._lost.start_over(what)
                else:
                    raise why from None
            else:
                if isinstance(what, Ping):
                    self._members.admit(member, *value)
                elif isinstance(what, EncoderBatch):
                    self._take_vectors(member, what, value)
                elif isinstance(what, JobGroup):
                    self._take_group(member, what, value, kept)
                else:
                    self._take_result(member, what, value, kept)

    def _fetch(self, member: PooledActor, what: Called, answer: Any, kept: Any) -> Any:
        """Result of a call, whose cost is noted."""
        value = ray.get(answer)
        if not isinstance(value, CallResult | EncodeResult):
            return value
        member.note(what.kind if isinstance(what, ReaderJob | JobGroup) else "encode", value.spent)
        if isinstance(what, EncoderBatch):
            self._pace.note(sum(block.count for block in what.blocks), value.spent.busy_s)
        if isinstance(value, EncodeResult) and value.smaller_batch:
            self.counts.note_smaller_batch(value.smaller_batch)
        planned = isinstance(what, ReaderJob) and what.kind == "plan" and value.value is None
        return ray.get(kept) if planned else value.value

    def _take_group(self, member: PooledActor, group: JobGroup, value: Any, kept: Any) -> None:
        if group.kind == "plan":
            take_begun(member, group, value, kept, self._backlog, self.counts)
            return
        for job, tiles in zip(group.jobs, value, strict=True):
            self._take_result(member, job, tiles, None)

    def _take_result(self, member: PooledActor, job: ReaderJob, value: Any, kept: Any) -> None:
        work = job.work
        if job.is_stale:
            return
        if isinstance(value, SlideFailure):
            work.fail(value.problem)
        elif job.kind == "plan":
            work.begin(value, kept, member)
            self._backlog.note_plan(work, self.counts)
            if self._plan_only:
                work.committed = dict.fromkeys(work.encoders, work.tiles)
            self._backlog.queue_commits(work)  # a slide without tiles has nothing to wait for
        elif job.kind == "read":
            self.counts.tiles_read += len(job.span)
            block = ReadyBlock(
                work, job.generation, job.span.start, len(job.span), kept, value, member.node
            )
            self._backlog.ready.append(block)
        else:
            work.committed[job.encoder] = value
            work.pieces.pop(job.encoder, None)

    def _take_vectors(
        self, member: PooledActor, batch: EncoderBatch, unusable: Sequence[Any]
    ) -> None:
        self._members.note_encoded()
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
                    work.problems[name] = nonfinite_problem(self.facts[name], tile_id)
                    continue
                work.pieces[name][block.start] = EncodedBlock(
                    block.start, vectors, rows, block.focus, member.devices.get(name, "")
                )
            self._backlog.queue_commits(work)
