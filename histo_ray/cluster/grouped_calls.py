"""Calls of a reader for several small subjects: asked, and their answers taken apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from histo_ray.cluster.call_values import Begun, CommitOrder, SlideFailure, name_devices
from histo_ray.cluster.pool import PooledActor
from histo_ray.extract.job_group import JobGroup
from histo_ray.extract.reader_queue import Backlog
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.work import ReadyBlock
from histo_ray.types import EncoderFacts


def ask_group(
    member: PooledActor,
    group: JobGroup,
    facts: Mapping[str, EncoderFacts],
    run_id: str,
    step: int,
) -> tuple[Any, Any]:
    """Call a reader.

    Args:
        member: The reader.
        group: What to do.
        facts: The run's encoders by name.
        run_id: The run.
        step: Tiles that are read at once.

    Returns:
        Reference to the pixels, if it reads; and to the answer.
    """
    if group.kind == "plan":
        subjects = [job.work.sent for job in group.jobs]
        kept, answer = member.handle.begin.options(num_returns=2).remote(subjects, group.lead, step)
        return kept, answer
    orders = []
    for job in group.jobs:
        if job.work.plan is None:
            raise ValueError(f"{job.work.slide_id}: a partition without a plan")
        pieces = list(job.work.pieces.get(job.encoder, {}).values())
        named = name_devices(job.work.facts_of(facts[job.encoder]), pieces)
        orders.append(CommitOrder(job.work.plan, named, pieces))
    return None, member.handle.commit_all.remote(orders, run_id)


def take_begun(
    member: PooledActor,
    group: JobGroup,
    begun: Sequence[Begun | SlideFailure],
    pixels: Any,
    backlog: Backlog,
    counts: Counts,
) -> None:
    """Note the plans of several subjects, and the tiles that were read with them.

    Args:
        member: The reader.
        group: What it was asked for.
        begun: What it found, of each subject.
        pixels: Reference to the tiles of all of them, one after the other.
        backlog: The run's queues.
        counts: Its progress.
    """
    stop = 0
    for job, found in zip(group.jobs, begun, strict=True):
        work, start = job.work, stop
        if isinstance(found, SlideFailure):
            if not job.is_stale:
                work.fail(found.problem)
            continue
        count = len(found.focus)
        stop += count
        if job.is_stale:
            continue
        whole = count == len(found.plan.grid)
        work.begin(found.plan, found.plan if whole else ray.put(found.plan), member)
        backlog.note_plan(work, counts)
        if count:
            work.take_span(count, member)
            counts.tiles_read += count
            backlog.ready.append(
                ReadyBlock(work, job.generation, 0, count, pixels, found.focus, member.node, start)
            )
        backlog.queue_commits(work)  # a slide without tiles has nothing to wait for


def join_blocks(blocks: Sequence[ReadyBlock]) -> tuple[list[slice], list[Any]]:
    """Rows, and references to arrays of pixels, that hold these blocks: neighbours are one. Pure.

    Args:
        blocks: In the order in which they are encoded.
    """
    rows: list[slice] = []
    pixels: list[Any] = []
    for block in blocks:
        if pixels and pixels[-1] == block.pixels and rows[-1].stop == block.first_row:
            rows[-1] = slice(rows[-1].start, block.rows.stop)
        else:
            rows.append(block.rows)
            pixels.append(block.pixels)
    return rows, pixels
