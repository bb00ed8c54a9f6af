from typing import Any

import numpy as np
import pytest

from histo_ray.store.half_floats import cut_pieces, widen

ALL = (
    np.arange(65536, dtype=np.uint16).view(np.float16).reshape(64, 1024)
)  # a sign and exponent a row
FINITE = ALL[np.isfinite(ALL).all(axis=1)]


@pytest.mark.parametrize("halves", [FINITE, ALL], ids=["finite", "all"])
def test_every_half_becomes_the_same_float(halves: Any) -> None:
    wide = widen(halves)
    assert wide.dtype == np.float32
    np.testing.assert_array_equal(wide, halves.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(wide), np.signbit(halves))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, -np.nan])
def test_one_number_that_is_not_finite_is_seen(bad: float) -> None:
    halves = np.full((3, 5), -0.25, np.float16)
    halves[1, 4] = bad
    np.testing.assert_array_equal(widen(halves), halves.astype(np.float32))


def test_any_order_in_memory_will_do() -> None:
    halves = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float16)
    for view in (halves[:, 3:17], halves.T, halves[::-2], halves.astype(">f2"), halves[:0]):
        np.testing.assert_array_equal(widen(view), view.astype(np.float32))


def test_floats_are_not_copied_and_never_written_to() -> None:
    floats = np.ones((3, 2), np.float32)
    assert widen(floats) is floats
    halves = np.ones((3, 2), np.float16)
    halves.flags.writeable = False
    widen(halves)[:] = 5
    assert (halves == 1).all()


@pytest.mark.parametrize(("count", "dim"), [(1, 1), (257, 3), (3000, 2048), (9, 10**6), (0, 5)])
def test_pieces_are_small_and_leave_nothing_out(count: int, dim: int) -> None:
    cuts = list(cut_pieces(count, dim))
    rows = [row for cut in cuts for row in range(count)[cut]]
    assert rows == list(range(count))
    assert all(cut.stop - cut.start <= max(1, 2**18 // dim) for cut in cuts)
