from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.extract.work import ReadyBlock, SubjectWork, drop_stale, pack_batch
from histo_ray.types import Slide

SLIDE = cast(Any, SimpleNamespace(tissue_share=None, ink_share=None))


def work(slide_id: str, names: tuple[str, ...] = ("a",), tiles: int = 10) -> SubjectWork:
    made = SubjectWork(Slide(slide_id, f"{slide_id}.svs", slide_id), names)
    plan = cast(Any, SimpleNamespace(grid=range(tiles), empty_reason="", slide=SLIDE))
    made.begin(plan, None, "planner")
    return made


def block(of: SubjectWork, count: int, start: int = 0) -> ReadyBlock:
    return ReadyBlock(of, of.generation, start, count, None, np.zeros(count, np.float32), "n")


def piece(rows: slice) -> Any:
    return SimpleNamespace(rows=rows)


def test_a_full_block_is_a_batch_of_its_own() -> None:
    first, second = block(work("S1"), 32), block(work("S2"), 32)
    chosen, left = pack_batch([first, second], 32, flush=False)
    assert (chosen, list(left)) == ([first], [second])


def test_small_slides_fill_a_batch_and_the_last_is_cut() -> None:
    small = [block(work(f"S{i}"), 20, start=100) for i in range(3)]
    chosen, left = pack_batch(small, 32, flush=False)
    assert chosen[0] is small[0]
    assert [(b.work, b.start, b.rows) for b in chosen[1:]] == [(small[1].work, 100, slice(0, 12))]
    rest, last = left
    assert (rest.work, rest.start, rest.rows) == (small[1].work, 112, slice(12, 20))
    assert last is small[2]
    (again, third), left = pack_batch(left, 32, flush=True)
    assert (again.rows, third, list(left)) == (slice(12, 20), small[2], [])


def test_a_cut_block_keeps_each_tile_with_its_focus() -> None:
    whole = block(work("S1"), 5, start=7)
    whole.focus = np.arange(5, dtype=np.float32)
    first, rest = whole.cut(3)
    second, third = rest.cut(1)
    assert [(b.start, b.count, b.rows) for b in (first, second, third)] == [
        (7, 3, slice(0, 3)),
        (10, 1, slice(3, 4)),
        (11, 1, slice(4, 5)),
    ]
    assert [b.focus.tolist() for b in (first, second, third)] == [[0, 1, 2], [3], [4]]


def test_a_batch_that_may_still_fill_waits_unless_no_more_is_coming() -> None:
    tail = block(work("S1"), 30)
    assert pack_batch([tail], 32, flush=False) == ([], deque([tail]))
    assert pack_batch([tail], 32, flush=True) == ([tail], deque())


def test_blocks_for_other_encoders_never_share_a_batch() -> None:
    both, one = work("S1", ("a", "b")), work("S2", ("b",))
    chosen, left = pack_batch([block(both, 16), block(one, 16)], 32, flush=True)
    assert len({b.work.encoders_left for b in (*chosen, *left)}) == 2
    assert len(chosen) == len(left) == 1


def test_what_is_flushed_is_the_oldest_however_much_else_waits() -> None:
    alone, others = block(work("S1", ("a",)), 3), block(work("S2", ("a", "b")), 30)
    assert pack_batch([alone, others], 32, flush=False)[0] == []
    assert pack_batch([alone, others], 32, flush=True) == ([alone], deque([others]))


@given(counts=st.lists(st.integers(1, 32), max_size=30), flush=st.booleans())
def test_every_tile_is_in_one_batch_and_flushing_never_stalls(
    counts: list[int], flush: bool
) -> None:
    ready = deque(block(work(f"S{i}"), count, start=5) for i, count in enumerate(counts))
    packed: list[ReadyBlock] = []
    sizes: list[int] = []
    while chosen := (packing := pack_batch(ready, 32, flush=flush))[0]:
        packed, ready = [*packed, *chosen], packing[1]
        sizes.append(sum(b.count for b in chosen))
    assert all(size == 32 for size in sizes[:-1])
    assert sum(b.count for b in ready) < (1 if flush else 32)
    tiles = [(b.work.slide_id, b.start + n) for b in (*packed, *ready) for n in range(b.count)]
    assert sorted(tiles) == sorted((f"S{i}", 5 + n) for i, c in enumerate(counts) for n in range(c))


@given(counts=st.lists(st.integers(1, 70), max_size=30), idle=st.lists(st.booleans()))
def test_a_call_has_as_many_whole_batches_as_there_are_where_an_encoder_has_little_to_do(
    counts: list[int], idle: list[bool]
) -> None:
    ready = deque(block(work(f"S{i}"), count, start=5) for i, count in enumerate(counts))
    packed: list[ReadyBlock] = []
    for hungry in idle:
        there = sum(b.count for b in ready)
        chosen, ready = pack_batch(ready, 64, flush=False, step=16 if hungry else 0)
        called = sum(b.count for b in chosen)
        assert called == min(64, there // 16 * 16) if hungry or there >= 64 else called == 0
        packed += chosen
    tiles = [(b.work.slide_id, b.start + n) for b in (*packed, *ready) for n in range(b.count)]
    assert sorted(tiles) == sorted((f"S{i}", 5 + n) for i, c in enumerate(counts) for n in range(c))


def test_a_long_stretch_is_shared_out_in_whole_calls_and_a_short_one_in_batches() -> None:
    slide = work("S1", tiles=130)
    assert slide.take_span(10, "planner", 10) == range(10)
    assert slide.take_span(40, "helper", 10) == range(50, 90)
    assert slide.take_span(40, "helper", 10) == range(90, 130)
    assert slide.take_span(30, "helper", 10) == range(30, 50)
    assert slide.take_span(30, "planner", 10) == range(10, 30)


def test_spans_cover_a_slide_once_and_end_with_its_tail() -> None:
    slide = work("S1", tiles=70)
    spans = []
    while slide.has_unread():
        spans.append(slide.take_span(32, "planner"))
    assert [tuple(span) for span in spans] == [
        tuple(range(0, 32)),
        tuple(range(32, 64)),
        tuple(range(64, 70)),
    ]


def test_each_reader_keeps_to_a_stretch_of_its_own() -> None:
    slide = work("S1", tiles=400)
    spans: dict[str, list[range]] = {"planner": [], "helper": []}
    for _ in range(5):
        for reader, read in spans.items():
            read.append(slide.take_span(10, reader))
    assert [span.start for span in spans["planner"]] == [0, 10, 20, 30, 40]
    assert [span.start for span in spans["helper"]] == [200, 210, 220, 230, 240]


@given(tiles=st.integers(0, 500), size=st.integers(1, 40), turns=st.lists(st.integers(0, 6)))
def test_readers_cover_a_slide_once_whoever_asks(tiles: int, size: int, turns: list[int]) -> None:
    slide, read = work("S1", tiles=tiles), list[int]()
    for reader in [*turns, *[0] * tiles]:
        if slide.has_unread():
            span = slide.take_span(size, reader)
            assert 0 < len(span) <= size
            read.extend(span)
    assert not slide.has_unread()
    assert sorted(read) == list(range(tiles))


def test_an_encoder_is_complete_when_every_tile_has_a_vector_and_only_once() -> None:
    slide = work("S1", ("a", "b"), tiles=40)
    slide.pieces["a"] = {0: piece(slice(0, 32))}
    assert slide.complete() == []
    slide.pieces["a"][32] = piece(slice(5, 13))
    assert slide.complete() == ["a"]
    assert slide.complete() == []


def test_a_slide_without_tiles_is_complete_at_once() -> None:
    assert work("S1", ("a", "b"), tiles=0).complete() == ["a", "b"]


def test_a_failed_encoder_leaves_the_other_to_go_on() -> None:
    slide = work("S1", ("a", "b"))
    slide.problems["a"] = "not finite"
    assert slide.encoders_left == ("b",)
    slide.committed["b"] = 10
    assert slide.finished
    assert [(row.encoder, row.outcome, row.n_tiles) for row in slide.rows()] == [
        ("a", "failed", 0),
        ("b", "done", 10),
    ]


def test_a_lost_slide_keeps_what_it_had_committed() -> None:
    slide = work("S1", ("a", "b"))
    slide.committed["a"] = 10
    slide.fail("cannot be read")
    assert [row.outcome for row in slide.rows()] == ["done", "failed"]


@pytest.mark.parametrize("end", ["start_over", "fail"])
def test_blocks_of_a_slide_that_began_again_or_ended_are_dropped(end: str) -> None:
    slide, other = work("S1"), work("S2")
    ready = [block(slide, 4), block(other, 4)]
    if end == "fail":
        slide.fail("gone")
    else:
        slide.start_over()
    assert list(drop_stale(ready)) == ready[1:]


def test_a_released_slide_keeps_its_outcome_and_lets_go_of_its_arrays() -> None:
    done = work("S1")
    done.plan_ref = object()
    done.pieces["a"][0] = piece(slice(0, 10))
    done.committed["a"] = 10
    done.release()
    assert (done.plan, done.plan_ref, done.pieces) == (None, None, {})
    assert done.finished
    assert not done.has_unread()
    assert [(row.outcome, row.n_tiles) for row in done.rows()] == [("done", 10)]
