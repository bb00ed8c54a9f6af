"""Small slides planned, read and written several in a call: what one by one would give."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from benchmarks.bench_store import make_facts
from histo_ray.cluster import run_extract as ray_run
from histo_ray.cluster.actors import Reader
from histo_ray.cluster.call_values import Begun, CommitOrder, EncodedBlock, SlideFailure
from histo_ray.cluster.grouped_calls import join_blocks, take_begun
from histo_ray.cluster.pool import PooledActor
from histo_ray.config import ExtractConfig
from histo_ray.extract import call_size
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.job_group import JobGroup
from histo_ray.extract.reader_queue import Backlog
from histo_ray.extract.run import run_extract
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.work import ReaderJob, ReadyBlock, SubjectWork
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.store import open_store
from histo_ray.types import Slide
from tests.cluster.test_long_calls import kill_when_seen
from tests.conftest import write_manifest

MakeConfig = Callable[..., ExtractConfig]


@pytest.fixture
def config(make_config: MakeConfig, tmp_path: Path) -> ExtractConfig:
    return make_config(tmp_path / "store")


def test_slides_that_are_begun_together_have_the_plans_and_pixels_of_each_alone(
    config: ExtractConfig,
) -> None:
    slides = read_manifest(config.manifest)
    alone = Reader(config)
    plans = {slide.slide_id: alone.plan(slide) for slide in slides}
    tiles = [len(plan.grid) for plan, _ in plans.values() if plan]
    most = sum(tiles) - 1  # the last one with tiles finds no room
    pixels, answer = Reader(config).begin(slides, most, 4)
    used = 0
    for slide, found in zip(slides, answer.value, strict=True):
        plan, failure = plans[slide.slide_id]
        if plan is None:
            assert found == failure.value
            continue
        assert isinstance(found, Begun)
        assert found.plan.slide == plan.slide
        assert np.array_equal(found.plan.grid.coords, plan.grid.coords)
        count = len(plan.grid) if used + len(plan.grid) <= most else 0
        assert len(found.focus) == count
        if not count:
            continue
        expected, focus = alone.read(slide, plan, range(count))
        assert np.array_equal(pixels[used : used + count], expected)
        assert np.array_equal(found.focus, focus.value)
        used += count
    assert len(pixels) == used < sum(tiles)
    assert any(isinstance(found, SlideFailure) for found in answer.value)


def test_of_a_first_slide_that_is_large_as_many_tiles_are_read_as_may_be(
    config: ExtractConfig,
) -> None:
    slide = next(iter(read_manifest(config.manifest)))
    pixels, answer = Reader(config).begin([slide], 3, 2)
    assert len(pixels) == len(answer.value[0].focus) == 3 < len(answer.value[0].plan.grid)


def test_partitions_that_are_written_together_are_those_of_each_alone(
    config: ExtractConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, dim = Reader(config), 6
    slides = [s for s in read_manifest(config.manifest) if s.slide_id.startswith("good")]
    plans = [plan for plan, _ in map(reader.plan, slides) if plan]
    rng = np.random.default_rng(0)
    total = sum(len(plan.grid) for plan in plans)
    arrays: dict[Any, Any] = {"whole": rng.normal(size=(total, dim)).astype(np.float16)}
    monkeypatch.setattr("ray.get", lambda refs: [arrays[ref] for ref in refs])
    facts = make_facts("enc").encoder.model_copy(update={"dim": dim, "dtype": "float16"})
    orders, start = [], 0
    for plan in plans:
        rows = slice(start, start + len(plan.grid))
        start = rows.stop
        focus = rng.random(len(plan.grid)).astype(np.float32)
        piece = EncodedBlock(0, cast(Any, "whole"), rows, focus)
        orders.append(CommitOrder(plan, facts, [piece]))
    open_store(config.store, create=True)
    answer = reader.commit_all(orders, "run")
    assert answer.value == [len(plan.grid) for plan in plans]
    store = open_store(config.store)
    assert store.verify()[1] == []
    for order in orders:
        bag = store.bag(order.plan.grid.slide_id, "enc")
        assert np.array_equal(bag.coords, order.plan.grid.coords)
        assert np.array_equal(bag.embeddings, arrays["whole"][order.pieces[0].rows])


def begun(count: int, tiles: int) -> Begun:
    """A slide of so many tiles, of which some were read."""
    plan = cast(Any, SimpleNamespace(grid=range(tiles), empty_reason=""))
    return Begun(plan, np.arange(count, dtype=np.float32))


def test_each_slide_of_a_call_gets_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.put", lambda plan: ("reference", plan))
    works = [SubjectWork(Slide(f"S{n}", "", ""), ("a",)) for n in range(5)]
    group = JobGroup([ReaderJob("plan", work, 0) for work in works], lead=99)
    backlog, counts, member = Backlog(), Counts(0), PooledActor(None, node="n")
    works[1].start_over()  # its rows are passed over
    large = begun(0, 7)
    found: list[Begun | SlideFailure] = [
        begun(3, 3),
        begun(2, 2),
        SlideFailure("S2", "damaged"),
        large,
        begun(4, 4),
    ]
    take_begun(member, group, found, "pixels", backlog, counts)
    assert [(b.work.slide_id, b.rows, b.start) for b in backlog.ready] == [
        ("S0", slice(0, 3), 0),
        ("S4", slice(5, 9), 0),
    ]
    assert (works[1].plan, works[2].problems) == (None, {"a": "damaged"})
    assert works[3].unread == {member: range(7)}
    assert works[3].plan_ref == ("reference", large.plan)
    assert not works[0].has_unread()
    assert (counts.tiles_read, counts.slides_planned, counts.tiles_planned) == (7, 3, 14)


def test_neighbours_in_one_array_are_given_to_an_encoder_as_one() -> None:
    work, focus = SubjectWork(Slide("S", "", ""), ("a",)), np.zeros(9, np.float32)

    def block(pixels: str, first_row: int, count: int) -> ReadyBlock:
        return ReadyBlock(work, 0, 0, count, pixels, focus[:count], "n", first_row)

    blocks = [block("p", 0, 3), block("p", 3, 2), block("p", 6, 1), block("q", 7, 2)]
    assert join_blocks(blocks) == ([slice(0, 5), slice(6, 7), slice(7, 9)], ["p", "p", "q"])


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_many_small_slides_have_the_same_vectors_whatever_dies_under_them(
    config: ExtractConfig,
    cohort: Any,
    read_vectors: Callable[[Path | str], dict[Any, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [(f"S{n}", str(cohort.folder / "good-a.svs"), "") for n in range(59)]
    rows.insert(30, ("broken", str(cohort.folder / "truncated.svs"), ""))
    manifest = write_manifest(tmp_path / "many.csv", rows)
    config = config.model_copy(update={"manifest": str(manifest)})
    alone = config.model_copy(update={"store": str(tmp_path / "alone"), "address": "none"})
    run_extract(alone, open_in_process)
    monkeypatch.setattr(call_size, "CALL_S", 60.0)  # a busy machine shall not shorten calls
    killed: list[str] = []
    titles = ["ray::Reader.begin", "ray::Reader.commit_all"]
    watcher = threading.Thread(target=kill_when_seen, args=(titles, killed))
    watcher.start()
    summary = ray_run.run_extract(config)
    titles.clear()
    watcher.join()
    assert killed
    assert summary.counts.deaths >= 1
    assert summary.outcomes == {"done": 59, "failed": 1}
    assert read_vectors(config.store) == read_vectors(alone.store)
    assert open_store(config.store).verify()[1] == []
