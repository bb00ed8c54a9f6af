"""The queue on a card that copies late and logs what it is told: no GPU is needed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from histo_ray.encoders.base import GPU_BATCHES_AT_ONCE, encode_fixed
from histo_ray.encoders.encode_pass import TilePass, split_blocks
from histo_ray.encoders.gpu_queue import GpuQueue, Lane
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder
from tests.encoders.fake_card import FakeCard

Pixels = npt.NDArray[np.uint8]


def draw(count: int, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 5, 3), np.uint8)


def flatten(tiles: torch.Tensor) -> torch.Tensor:
    return tiles.reshape(len(tiles), -1).float()


def expected(pixels: Pixels) -> npt.NDArray[np.float32]:
    return pixels.reshape(len(pixels), -1).astype(np.float32)


@pytest.fixture
def card() -> FakeCard:
    return FakeCard()


def test_the_steps_of_a_batch_come_in_order(card: FakeCard) -> None:
    queue = GpuQueue(Lane(card))

    def compute(tiles: torch.Tensor) -> torch.Tensor:
        card.log.append("compute")
        return flatten(tiles)

    pixels = draw(4)
    vectors = queue.run(queue.stage([pixels], 4), compute)
    assert np.array_equal(vectors, expected(pixels))
    assert card.log == [
        "synchronize",
        "pin", "upload in copies",
        "work waits", "keep for work", "compute", "pin", "download in work",
        "host waits for work",
    ]  # fmt: skip
    assert queue.device_s == pytest.approx(0.002)


def test_batches_of_several_tile_sizes_take_turns_in_the_same_memory(card: FakeCard) -> None:
    queue = GpuQueue(Lane(card))
    rng = np.random.default_rng(0)
    shapes = [(4, 11, 7, 3), (2, 3, 5, 3), (6, 3, 5, 3)]  # the first is the largest
    for round_ in range(6):
        for shape in shapes if round_ else shapes[:1] * GPU_BATCHES_AT_ONCE:
            pixels = rng.integers(0, 256, shape, np.uint8)
            vectors = queue.run(
                queue.stage([pixels[:-1]], len(pixels)), lambda t: flatten(t)[:, :9]
            )
            assert np.array_equal(vectors, expected(pixels)[:-1, :9])
        pinned = card.log.count("pin")
        assert pinned == GPU_BATCHES_AT_ONCE + 1 + (round_ > 0)  # tiles; vectors of 4, then of 6


def test_pinned_memory_is_not_overwritten_before_the_card_has_read_it(card: FakeCard) -> None:
    queue = GpuQueue(Lane(card))
    batches = [draw(4, seed) for seed in range(3 * GPU_BATCHES_AT_ONCE)]
    staged = [queue.stage([pixels], 4) for pixels in batches]  # the card has computed none yet
    assert card.log.count("pin") == GPU_BATCHES_AT_ONCE == 4
    assert card.log.count("host waits for copies") == 2 * GPU_BATCHES_AT_ONCE
    for tiles, pixels in zip(staged, batches, strict=True):
        assert np.array_equal(queue.run(tiles, flatten), expected(pixels))


def test_blocks_are_written_one_after_the_other_and_the_rest_is_black(card: FakeCard) -> None:
    lane = Lane(card)
    blocks = [draw(2, 1), draw(1, 2), draw(3, 3)]
    for _ in range(2 * GPU_BATCHES_AT_ONCE):  # fills all pinned memory
        lane.stage([draw(8, 4)], 8)
    staged = lane.stage(blocks, 8)
    staged.arrived.synchronize()
    assert (staged.given, len(staged.tiles)) == (6, 8)
    assert np.array_equal(staged.tiles[:6].numpy(), np.concatenate(blocks))
    assert not staged.tiles[6:].any()
    assert len(GpuQueue(lane).run(staged, flatten)) == 6


def test_tiles_of_another_size_have_memory_of_their_own(card: FakeCard) -> None:
    queue = GpuQueue(Lane(card))
    for seed in range(12):
        pixels = draw(1 + seed % 3, seed)
        assert np.array_equal(queue.run(queue.stage([pixels], 3), flatten), expected(pixels))
        turned = np.ascontiguousarray(pixels.transpose(0, 2, 1, 3))
        assert np.array_equal(queue.run(queue.stage([turned], 3), flatten), expected(turned))


def test_batches_of_many_threads_do_not_mix(card: FakeCard) -> None:
    lane = Lane(card)
    first, second = GpuQueue(lane), GpuQueue(lane)

    def encode(seed: int) -> bool:
        pixels = draw(4, seed)
        staged = lane.stage([pixels[:1], pixels[1:]], 4)
        ours = first.run(staged, flatten)
        others = second.run(staged, lambda tiles: 2 * flatten(tiles))
        return np.array_equal(ours, expected(pixels)) and np.array_equal(others, 2 * ours)

    with ThreadPoolExecutor(2 * GPU_BATCHES_AT_ONCE) as callers:
        assert all(callers.map(encode, range(200)))


@pytest.mark.parametrize(
    ("sizes", "batch", "found"),
    [
        ((5,), 4, [[4], [1]]),
        ((2, 1, 3), 8, [[2, 1, 3]]),
        ((3, 3, 3), 4, [[3, 1], [2, 2], [1]]),
        ((4, 4), 4, [[4], [4]]),
        ((0, 2, 0), 2, [[2]]),
        ((0,), 2, []),
    ],
)
def test_blocks_are_split_into_batches(
    sizes: tuple[int, ...], batch: int, found: list[list[int]]
) -> None:
    blocks = [draw(size, size) for size in sizes]
    batches = list(split_blocks(blocks, batch))
    assert [[len(part) for part in one] for one in batches] == found
    parts = [part for one in batches for part in one]
    if parts:
        assert np.array_equal(np.concatenate(parts), np.concatenate(blocks))


def on_card(request: str, lane: Lane) -> TorchEncoder:
    """An encoder whose tiles take the way over the card, and whose network is on CPU."""
    encoder: Any = load_encoder(resolve(request), device="cpu", threads=1)
    encoder._gpu, encoder.fixed_tiles = GpuQueue(lane), None
    return encoder  # type: ignore[no-any-return]


def test_one_copy_serves_all_encoders_of_a_pass(
    card: FakeCard, load: Callable[[str], TorchEncoder], tiles: Callable[..., Pixels]
) -> None:
    requests = ("random:resnet10t?px=32&seed=1", "random:vit_tiny_patch16_224?img_size=32&seed=2")
    lane = Lane(card)
    encoders = [on_card(request, lane) for request in requests]
    blocks = [tiles(count, 32, seed=count) for count in (7, 2, 5)]
    blocks[1].flags.writeable = False  # as Ray gives them
    together = TilePass(blocks)
    found = [together.encode_with(encoder, 6) for encoder in encoders]
    assert card.log.count("upload in copies") == 3  # 14 tiles, 6 a batch
    assert card.log.count("download in work") == 6
    smaller = together.encode_with(encoders[1], 4)  # as where a card's memory is too small for 6
    assert card.log.count("upload in copies") == 3 + 4
    np.testing.assert_allclose(smaller, found[1], atol=1e-4, rtol=1e-4)
    assert len(together) == len(smaller) == 14
    pixels = np.concatenate(blocks)
    for request, encoder, vectors in zip(requests, encoders, found, strict=True):
        assert np.array_equal(vectors, encode_fixed(encoder, pixels, 6))
        np.testing.assert_allclose(vectors, load(request).encode(pixels), atol=1e-4, rtol=1e-4)


def test_on_a_cpu_a_pass_is_that_of_each_encoder(
    load: Callable[[str], TorchEncoder], tiles: Callable[..., Pixels]
) -> None:
    encoders = [load("random:resnet10t?px=32&seed=1"), load("random:resnet10t?px=32&seed=2")]
    blocks = [tiles(count, 32, seed=count) for count in (7, 2)]
    assert not encoders[0].stages
    together = TilePass(blocks)
    for encoder in encoders:
        vectors = together.encode_with(encoder, 6)
        assert np.array_equal(vectors, encode_fixed(encoder, np.concatenate(blocks), 6))
    with pytest.raises(RuntimeError, match="on CPU there is nothing to stage"):
        encoders[0].stage(blocks, 9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_pass_on_a_gpu_is_that_of_each_encoder(tiles: Callable[..., Pixels]) -> None:
    requests = ("random:resnet10t?px=32&seed=1", "random:vit_tiny_patch16_224?img_size=32&seed=2")
    encoders = [load_encoder(resolve(request), device="cuda") for request in requests]

    def encode(seed: int) -> bool:
        blocks = [tiles(count, 32, seed=seed + count) for count in (7, 2, 5)]
        together = np.concatenate(blocks)
        tiles_once = TilePass(blocks)
        found = [tiles_once.encode_with(encoder, 6) for encoder in encoders]
        alone = [encode_fixed(encoder, together, 6) for encoder in encoders]
        return all(np.array_equal(a, b) for a, b in zip(found, alone, strict=True))

    with ThreadPoolExecutor(GPU_BATCHES_AT_ONCE) as callers:
        assert all(callers.map(encode, range(0, 400, 20)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_batches_of_several_tile_sizes_on_a_gpu_are_those_of_each_alone(
    tiles: Callable[..., Pixels],
) -> None:
    encoder = load_encoder(resolve("random:resnet10t?px=32&seed=1"), device="cuda")
    batches = [tiles(count, px, seed=px + count) for count in (3, 8) for px in (32, 96, 64)]
    alone = [encode_fixed(encoder, batch, len(batch)) for batch in batches]

    def encode(at: int) -> bool:
        batch = batches[at % len(batches)]
        found = TilePass([batch]).encode_with(encoder, len(batch))
        return np.array_equal(found, alone[at % len(batches)])

    with ThreadPoolExecutor(GPU_BATCHES_AT_ONCE) as callers:
        assert all(callers.map(encode, range(120)))
