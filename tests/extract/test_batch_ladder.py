"""An encoder whose GPU holds fewer tiles than a batch has."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from histo_ray.errors import DeviceError, DeviceMemoryError
from histo_ray.extract.batch_ladder import BatchLadder, smallest_limit, step_down


class SmallCard:
    """An encoder for which only some tiles fit at once; a vector is a tile's first pixel."""

    device, dim, device_s = "cuda (small)", 3, 0.0
    spec = SimpleNamespace(name="net")

    def __init__(self, holds: int, fixed_tiles: int | None = None) -> None:
        self.holds = holds
        self.fixed_tiles = fixed_tiles
        self.seen: list[int] = []

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.seen.append(len(pixels))
        self.device_s += 1.0
        if len(pixels) > self.holds:
            raise DeviceMemoryError("out of memory")
        return pixels[:, 0, 0].astype(np.float32)


def ladder(card: SmallCard) -> BatchLadder:
    encoder: Any = card
    return BatchLadder(encoder)


@pytest.mark.parametrize(("size", "below"), [(2, 1), (3, 2), (64, 32), (100, 64), (128, 64)])
def test_steps_are_powers_of_two(size: int, below: int) -> None:
    assert step_down(size) == below


def test_a_full_batch_of_black_tiles_finds_the_bound_at_load() -> None:
    card = SmallCard(holds=20)
    encoder = ladder(card)
    encoder.warm_up(5, 100)
    assert encoder.limit == 16
    assert card.seen == [100, 64, 32, *[16] * 7]
    assert encoder.device_s == 0
    encoder.encode(np.zeros((16, 5, 7, 3), np.uint8), 100, "float16")
    assert encoder.device_s == 1


def test_memory_that_runs_out_later_halves_the_batch_and_keeps_its_shape() -> None:
    card = SmallCard(holds=64)
    encoder = ladder(card)
    encoder.warm_up(5, 64)
    assert (encoder.limit, smallest_limit([encoder])) == (None, 0)
    card.holds, card.seen = 9, []
    pixels = np.random.default_rng(0).integers(0, 256, (50, 5, 7, 3), np.uint8)
    vectors, bad = encoder.encode(pixels, 64, "float32")
    assert np.array_equal(vectors, pixels[:, 0, 0])
    assert not bad.any()
    assert card.seen == [64, 32, 16, *[8] * 7]
    card.seen = []
    encoder.encode(pixels[:3], 64, "float32")
    assert card.seen == [8]
    assert smallest_limit([encoder, ladder(card)]) == 8


def test_not_even_one_tile_is_one_sentence_with_the_remedy() -> None:
    card = SmallCard(holds=0)
    with pytest.raises(DeviceMemoryError, match=r"'net': not even one tile .* cuda \(small\); use"):
        ladder(card).warm_up(5, 4)
    assert card.seen == [4, 2, 1]


def test_an_encoder_on_cpu_is_neither_warmed_up_nor_halved() -> None:
    card = SmallCard(holds=20, fixed_tiles=16)
    encoder = ladder(card)
    encoder.warm_up(5, 64)
    assert card.seen == []


class FailingCard(SmallCard):
    """A card that raises what torch does."""

    def __init__(self, error: Exception) -> None:
        super().__init__(holds=99)
        self.error = error

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.seen.append(len(pixels))
        raise self.error


def test_what_torch_raises_of_memory_and_of_a_failing_card_is_told_apart() -> None:
    full = FailingCard(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    with pytest.raises(DeviceMemoryError):
        ladder(full).warm_up(5, 4)
    assert full.seen == [4, 2, 1]
    sick = FailingCard(torch.AcceleratorError("CUDA error: unspecified launch failure"))
    with pytest.raises(DeviceError, match=r"encoder on cuda \(small\): CUDA error: unspecified"):
        ladder(sick).warm_up(5, 4)
    assert sick.seen == [4]
