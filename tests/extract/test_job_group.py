"""Small subjects that are worked on several in a call."""

from collections import deque
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from histo_ray.extract.job_group import MOST_SUBJECTS, JobGroup, RecentSizes, take_commits
from histo_ray.extract.reader_queue import Backlog
from histo_ray.extract.resources import Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.work import ReaderJob, SubjectWork
from histo_ray.types import Slide
from tests.extract.test_reader_queue import Taker

WORKERS = Workers(2, 1, 0, 1, 1, 0, 1, batch_size=32, blocks_in_flight=64, batches_a_call=8)


def work(slide_id: str, tiles: int = 0) -> SubjectWork:
    made = SubjectWork(Slide(slide_id, f"{slide_id}.svs", slide_id), ("a",))
    if tiles:
        made.begin(cast(Any, SimpleNamespace(grid=range(tiles), empty_reason="")), None, "r")
    return made


def biopsies(count: int, seen: int, tiles: int) -> Backlog:
    """A run with so many subjects left, after some of so many tiles each were planned."""
    backlog = Backlog()
    backlog.extend(work(f"S{n}") for n in range(count))
    for n in range(seen):
        backlog.note_plan(work(f"P{n}", tiles), Counts(0))
    return backlog


def test_the_first_subjects_are_planned_one_by_one() -> None:
    reader = Taker()
    job = biopsies(100, 0, 0).next_job(reader, [reader], 0, WORKERS)
    assert isinstance(job, ReaderJob)
    assert job.kind == "plan"


def test_small_subjects_are_planned_and_read_as_many_as_fill_a_call() -> None:
    backlog, reader = biopsies(100, 4, 20), Taker()
    first = backlog.next_job(reader, [reader, Taker()], 0, WORKERS)
    assert isinstance(first, ReaderJob)  # the first call of a reader has one batch
    backlog._asked[reader] = 32  # it has read that
    sizes = []
    for _ in range(3):
        group = backlog.next_job(reader, [reader, Taker()], 0, WORKERS)
        assert isinstance(group, JobGroup)
        sizes.append((len(group.jobs), group.lead))
        assert {job.kind for job in group.jobs} == {"plan"}
        for job in group.jobs:
            job.work.fail("")
        backlog.take_finished()
    assert sizes == [(96 // 20, 96), (256 // 20, 256), (256 // 20, 256)]


def test_a_group_counts_as_one_subject_that_is_planned_ahead() -> None:
    backlog, readers = biopsies(100, 4, 8), [Taker(), Taker()]
    groups = []
    for reader in readers:
        group = backlog.next_job(reader, readers, 0, WORKERS)
        assert isinstance(group, JobGroup)
        reader.slide_id = group.jobs[-1].work.slide_id
        groups.append(group)
    assert [len(group.jobs) for group in groups] == [4, 4]
    names = [job.work.slide_id for group in groups for job in group.jobs]
    assert names == [f"S{n}" for n in range(8)]


def test_large_subjects_few_pixels_and_several_tilings_are_no_group() -> None:
    reader = Taker()
    for backlog, workers, held in (
        (biopsies(100, 4, 500), WORKERS, 0),
        (biopsies(100, 4, 20), replace(WORKERS, batches_a_call=1, blocks_in_flight=8), 0),
        (biopsies(100, 4, 20), WORKERS, 65 * 32),
        (biopsies(100, 4, 20), replace(WORKERS, batch_sizes=(32, 16)), 0),
    ):
        assert isinstance(backlog.next_job(reader, [reader], held, workers), ReaderJob)
    shared = biopsies(100, 4, 8)
    shared.waiting[0].sent = "a reference"
    assert isinstance(shared.next_job(reader, [reader], 0, WORKERS), ReaderJob)
    planning = biopsies(100, 4, 8)
    planning.groups_small = False
    assert isinstance(planning.next_job(reader, [reader], 0, WORKERS), ReaderJob)


@given(
    tiles=st.lists(st.integers(0, 400), max_size=20),
    call=st.integers(0, 256),
    waiting=st.integers(1, 999),
    readers=st.integers(1, 64),
)
def test_a_call_has_as_many_subjects_as_fill_it_and_leaves_some_to_other_readers(
    tiles: list[int], call: int, waiting: int, readers: int
) -> None:
    sizes = RecentSizes()
    for count in tiles:
        sizes.note(count)
    together = sizes.count_together(call, waiting, readers)
    assert 1 <= together <= MOST_SUBJECTS
    assert together == 1 or together * 2 * readers <= waiting
    mean = sum(tiles[-16:]) / max(1, len(tiles[-16:]))
    assert together == 1 or together * mean <= call


def test_towards_the_end_all_readers_get_some_subjects() -> None:
    sizes = RecentSizes()
    sizes.note(10)
    shares = [sizes.count_together(256, waiting, readers=4) for waiting in (999, 80, 17, 16, 3)]
    assert shares == [16, 10, 2, 2, 1]


def test_small_partitions_are_written_several_in_a_call_and_others_alone() -> None:
    def commit(tiles: int, **about: Any) -> ReaderJob:
        return ReaderJob("commit", work("S", tiles), 0, encoder="a", **about)

    small = [commit(20) for _ in range(3)]
    jobs = deque([*small, commit(500), commit(20, alone=True), commit(20)])
    group = take_commits(jobs, 128)
    assert isinstance(group, JobGroup)
    assert (group.jobs, group.kind, group.load) == (small, "commit", 0)
    rest = [take_commits(jobs, 128) for _ in range(3)]
    assert [isinstance(job, ReaderJob) for job in rest] == [True] * 3
    many = deque(commit(1) for _ in range(MOST_SUBJECTS + 1))
    assert len(cast(JobGroup, take_commits(many, 128)).jobs) == MOST_SUBJECTS


def test_jobs_of_subjects_that_started_over_are_dropped_from_a_group() -> None:
    jobs = [ReaderJob("plan", work(f"S{n}"), 0) for n in range(3)]
    jobs[0].work.start_over()
    jobs[2].work.fail("lost")
    group = JobGroup(jobs)
    group.drop_stale()
    assert group.jobs == jobs[1:2]
