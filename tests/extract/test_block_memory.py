"""Memory of blocks is used again, and never while somebody looks at it."""

import numpy as np

from histo_ray.extract.block_memory import BlockMemory


def test_memory_is_used_again_once_nobody_holds_the_last_block() -> None:
    memory = BlockMemory()
    first = memory.take((3, 4, 5, 3))
    assert first.shape == (3, 4, 5, 3)
    assert first.dtype == np.uint8
    place = first.ctypes.data
    del first
    smaller = memory.take((2, 4, 5, 3))
    assert smaller.ctypes.data == place
    assert smaller.flags.c_contiguous


def test_a_block_that_is_held_even_in_part_keeps_its_pixels() -> None:
    memory = BlockMemory()
    first = memory.take((3, 4, 5, 3))
    first[:] = 7
    part = first[1:2, ::2]
    del first
    memory.take((3, 4, 5, 3))[:] = 9
    assert (part == 7).all()


def test_a_larger_block_gets_more() -> None:
    memory = BlockMemory()
    assert memory.take((1, 2, 3)).size == 6
    assert memory.take((2, 2, 3)).shape == (2, 2, 3)
