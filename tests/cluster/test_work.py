from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.cluster.work import ReadyBlock, SlideWork, drop_stale, pack_batch
from histo_ray.types import Slide


def work(slide_id: str, names: tuple[str, ...] = ("a",), tiles: int = 10) -> SlideWork:
    made = SlideWork(Slide(slide_id, f"{slide_id}.svs", slide_id), names)
    plan = cast(Any, SimpleNamespace(grid=range(tiles), empty_reason=""))
    made.begin(plan, None, "planner")
    return made


def block(of: SlideWork, count: int, start: int = 0) -> ReadyBlock:
    return ReadyBlock(of, of.generation, start, count, None, np.zeros(count, np.float32), "n")


def piece(rows: slice) -> Any:
    return SimpleNamespace(rows=rows)


def test_a_full_block_is_a_batch_of_its_own() -> None:
    first, second = block(work("S1"), 32), block(work("S2"), 32)
    assert pack_batch([first, second], 32, flush=False) == [first]


def test_tails_of_small_slides_share_a_batch() -> None:
    tails = [block(work(f"S{i}"), 8) for i in range(5)]
    assert pack_batch(tails, 32, flush=False) == tails[:4]


def test_a_batch_that_may_still_fill_waits_unless_no_more_is_coming() -> None:
    tail = block(work("S1"), 5)
    assert pack_batch([tail], 32, flush=False) == []
    assert pack_batch([tail], 32, flush=True) == [tail]


def test_blocks_for_other_encoders_never_share_a_batch() -> None:
    both, one = work("S1", ("a", "b")), work("S2", ("b",))
    chosen = pack_batch([block(both, 16), block(one, 16)], 32, flush=True)
    assert len({b.work.encoders_left for b in chosen}) == 1


@given(counts=st.lists(st.integers(1, 32), min_size=1, max_size=30), flush=st.booleans())
def test_a_batch_never_exceeds_its_size_and_flushing_never_stalls(
    counts: list[int], flush: bool
) -> None:
    ready = [block(work(f"S{i}"), count) for i, count in enumerate(counts)]
    chosen = pack_batch(ready, 32, flush=flush)
    assert sum(b.count for b in chosen) <= 32
    assert all(b in ready for b in chosen)
    assert chosen or not flush


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
