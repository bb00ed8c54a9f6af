"""Which job a reader gets next."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from histo_ray.extract.reader_queue import AHEAD, Backlog
from histo_ray.extract.resources import Workers
from histo_ray.extract.work import ReaderJob, ReadyBlock, SubjectWork
from histo_ray.types import Slide

WORKERS = Workers(2, 1, 0, 1, 1, 0, 1, batch_size=10, blocks_in_flight=3)


@dataclass(eq=False)
class Taker:
    """A reader, as far as the backlog looks at it."""

    slide_id: str = ""
    calls: set[Any] = field(default_factory=set)


def work(slide_id: str) -> SubjectWork:
    return SubjectWork(Slide(slide_id, f"{slide_id}.svs", slide_id), ("a",))


def planned(backlog: Backlog, slide_id: str, tiles: int, reader: Taker) -> SubjectWork:
    """A slide at work whose plan `reader` made."""
    made = work(slide_id)
    made.begin(cast(Any, SimpleNamespace(grid=range(tiles), empty_reason="")), None, reader)
    backlog.active.append(made)
    return made


def next_of(backlog: Backlog, taker: Taker, others: list[Taker], called: int = 0) -> Any:
    job = backlog.next_job(taker, [taker, *others], called, WORKERS)
    assert job is None or isinstance(job, ReaderJob)
    return job and (job.kind, job.work.slide_id, tuple(job.span))


def test_a_queued_job_goes_first_and_one_that_must_be_alone_waits_for_an_idle_reader() -> None:
    backlog, busy, idle = Backlog(), Taker(calls={1}), Taker()
    slide = planned(backlog, "S1", 5, idle)
    backlog.jobs.append(ReaderJob("commit", slide, 0, encoder="a"))
    backlog.jobs[0].alone = True
    assert next_of(backlog, busy, [idle]) == ("read", "S1", (0, 1, 2, 3, 4))
    assert next_of(backlog, idle, [busy]) == ("commit", "S1", ())


def test_a_reader_keeps_to_its_slide_before_it_begins_another_and_helps_last() -> None:
    backlog, mine, other = Backlog(), Taker("S1"), Taker("S2")
    planned(backlog, "S1", 10, mine)
    planned(backlog, "S2", 40, other)
    backlog.extend([work("S3")])
    assert next_of(backlog, mine, [other]) == ("read", "S1", tuple(range(10)))
    assert next_of(backlog, mine, [other]) == ("plan", "S3", ())
    assert next_of(backlog, mine, [other]) == ("read", "S2", tuple(range(20, 30)))
    assert not backlog.waiting


def test_with_long_calls_a_reader_waits_for_its_plan_before_it_helps() -> None:
    backlog, mine, other = Backlog(), Taker(), Taker("S2")
    planned(backlog, "S2", 400, other)
    backlog.extend([work("S1")])
    long_calls = replace(WORKERS, batches_a_call=4, blocks_in_flight=99)
    begun = backlog.next_job(mine, [mine, other], 0, long_calls)
    assert isinstance(begun, ReaderJob)
    mine.slide_id = begun.work.slide_id
    assert backlog.awaits_plan(mine)
    assert not backlog.awaits_plan(other)
    assert backlog.next_job(mine, [mine, other], 0, long_calls) is None
    begun.work.begin(cast(Any, SimpleNamespace(grid=range(100), empty_reason="")), None, mine)
    sizes = []
    while backlog.active[1].has_unread():
        job = backlog.next_job(mine, [mine, other], 0, long_calls)
        assert isinstance(job, ReaderJob)
        assert job.work is begun.work
        sizes.append(len(job.span))
    assert sizes == [10, 30, 40, 20]
    helping = backlog.next_job(mine, [mine, other], 0, long_calls)
    assert isinstance(helping, ReaderJob)
    assert helping.span == range(200, 240)


def test_with_long_calls_a_subject_that_its_planner_left_is_taken_over_whole() -> None:
    backlog, planner, other = Backlog(), Taker("S9"), Taker()
    slide = planned(backlog, "S1", 400, planner)
    long_calls = replace(WORKERS, batches_a_call=4, blocks_in_flight=99)
    job = backlog.next_job(other, [planner, other], 0, long_calls)
    assert isinstance(job, ReaderJob)
    assert job.span == range(10)
    assert slide.unread == {other: range(10, 400)}


def test_long_calls_keep_to_the_bound_on_pixels() -> None:
    backlog, reader = Backlog(), Taker("S1")
    planned(backlog, "S1", 1000, reader)
    long_calls = replace(WORKERS, batches_a_call=4, blocks_in_flight=8)
    held = 0
    while job := backlog.next_job(reader, [reader], held, long_calls):
        assert isinstance(job, ReaderJob)
        held += len(job.span)
        assert held <= 80
    assert held == 80


def test_nothing_is_read_where_as_many_tiles_wait_as_may_exist_at_once() -> None:
    backlog, reader = Backlog(), Taker("S1")
    slide = planned(backlog, "S1", 40, reader)
    focus = np.zeros(10, np.float32)
    backlog.ready.append(ReadyBlock(slide, 0, 0, 10, None, focus, "n"))
    assert next_of(backlog, reader, [], called=20) is None
    assert next_of(backlog, reader, [], called=19) == ("read", "S1", tuple(range(10)))


def test_only_so_many_slides_are_planned_ahead() -> None:
    backlog, reader = Backlog(), Taker()
    backlog.extend(work(f"S{n}") for n in range(9))
    jobs = [next_of(backlog, reader, []) for _ in range(9)]
    assert [job for job in jobs if job] == [("plan", f"S{n}", ()) for n in range(1 + AHEAD)]


def test_what_waits_for_nothing_is_named() -> None:
    backlog, reader = Backlog(), Taker()
    slide = planned(backlog, "S1", 0, reader)
    assert backlog.stuck() == ["S1"]
    slide.committed["a"] = 0
    assert backlog.take_finished() == [slide]
    assert not backlog
    assert backlog.stuck() == []
