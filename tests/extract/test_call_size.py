"""How many tiles a call reads or encodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.extract.call_size import CALL_PIXELS, EncodingPace, batches_a_call, tiles_to_read


def test_a_call_has_a_thousand_tiles_of_usual_size_where_memory_holds_them_for_all() -> None:
    assert batches_a_call(224, 128, blocks=10_000, processes_hold=100) == 8
    assert batches_a_call(224, 128, blocks=399, processes_hold=100) == 3
    assert batches_a_call(224, 128, blocks=10, processes_hold=100) == 1


@given(px=st.integers(32, 2048), size=st.integers(1, 4096), blocks=st.integers(0, 5000))
def test_no_call_has_more_pixels_than_a_reader_may_hold_nor_less_than_a_batch(
    px: int, size: int, blocks: int
) -> None:
    batches = batches_a_call(px, size, blocks, processes_hold=7)
    assert batches == 1 or (batches * size * px**2 <= CALL_PIXELS and 7 * batches <= blocks)


def test_a_readers_calls_grow_from_one_batch() -> None:
    asked, sizes = 0, list[int]()
    for _ in range(5):
        sizes.append(tiles_to_read(10, 8, asked, None, readers=3))
        asked += sizes[-1]
    assert sizes == [10, 30, 80, 80, 80]


def test_calls_shrink_towards_the_end_to_a_readers_share_of_what_is_left() -> None:
    ends = [tiles_to_read(10, 8, 500, unread, readers=3) for unread in (240, 239, 90, 29, 1)]
    assert ends == [80, 70, 30, 10, 10]


@given(
    asked=st.integers(0, 10_000), unread=st.none() | st.integers(0, 10_000), size=st.integers(1, 64)
)
def test_with_one_batch_a_call_every_call_has_one(
    asked: int, unread: int | None, size: int
) -> None:
    assert tiles_to_read(size, 1, asked, unread, readers=2) == size


@pytest.mark.parametrize(
    ("answers", "batches"),
    [
        ([], 1),  # nothing is known yet
        ([(32, 0.001)], 8),
        ([(32, 0.1)], 4),
        ([(96, 0.3), (32, 0.1)], 4),
        ([(32, 3.0)], 1),
        ([(32, 3.0), *[(256, 0.01)] * 8], 8),  # a slow first batch is forgotten
        ([(32, 0.0)], 8),
    ],
)
def test_calls_are_as_long_as_encoders_take_for_them_in_a_short_time(
    answers: list[tuple[int, float]], batches: int
) -> None:
    pace = EncodingPace()
    for tiles, busy_s in answers:
        pace.note(tiles, busy_s)
    assert pace.batches_in_time(32, 8) == batches
    assert pace.batches_in_time(32, 1) == 1
