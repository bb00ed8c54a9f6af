import numpy as np
import pytest
import torch

from histo_ray.finetune.augment import Draws, augment, crop, draw, jitter, orient
from histo_ray.finetune.recipe import AugmentConfig
from histo_ray.finetune.stain_space import STAINS

SIDE = 12


def number_tiles(count: int, height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    """(count, height, width, 3) uint8, no two pixels of a tile alike in all channels."""
    y, x = np.mgrid[:height, :width]
    tiles = (
        np.stack([y * 7, x * 9, np.full_like(x, 40)], 2)[None]
        + np.arange(count)[:, None, None, None]
    )
    return torch.from_numpy(tiles.astype(np.uint8))


def settle(config: str = "{}") -> AugmentConfig:
    return AugmentConfig.model_validate_json(config)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_each_tile_is_turned_as_numpy_turns_it_and_then_mirrored(turn: int, flip: bool) -> None:
    tiles = number_tiles(3)
    turns, flips = np.array([0, turn, 1]), np.array([True, flip, False])
    turned = orient(tiles, turns, flips).numpy()
    for tile, k, mirrored, result in zip(tiles.numpy(), turns, flips, turned, strict=True):
        wanted = np.rot90(tile, k)
        np.testing.assert_array_equal(result, wanted[:, ::-1] if mirrored else wanted)


def test_tiles_that_are_not_square_can_be_mirrored() -> None:
    tiles = number_tiles(2, 5, 9)
    turned = orient(tiles, np.zeros(2, int), np.array([True, False]))
    torch.testing.assert_close(turned[0], tiles[0].flip(1))
    torch.testing.assert_close(turned[1], tiles[1])


def test_a_crop_takes_the_pixels_of_its_place_in_x_and_in_y() -> None:
    values = number_tiles(2).permute(0, 3, 1, 2).float()
    half = np.array([[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]])  # right and up; left and down
    cut = crop(values, half, SIDE // 2)
    torch.testing.assert_close(cut[0], values[0, :, :6, 6:], atol=1e-3, rtol=0)
    torch.testing.assert_close(cut[1], values[1, :, 6:, :6], atol=1e-3, rtol=0)


def test_whole_tiles_of_the_right_size_are_left_alone() -> None:
    values = number_tiles(2).permute(0, 3, 1, 2).float()
    assert crop(values, np.array([[1.0, 0.3, 0.9]] * 2), SIDE) is values


def test_stain_jitter_scales_optical_density_along_each_stain() -> None:
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0.05, 0.5, (2, 4, 6, 3))
    stains, shifts = np.array([[1.3, 0.8, 1.0], [1.0, 1.0, 1.0]]), np.zeros((2, 3))
    shifts[1] = 0.1, 0.0, -0.02

    def expose(amount: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(256 * np.exp(-amount @ STAINS) - 1).permute(0, 3, 1, 2)

    changed = jitter(expose(amounts), stains, shifts)
    wanted = expose(amounts * stains[:, None, None] + shifts[:, None, None])
    torch.testing.assert_close(changed, wanted, atol=1e-6, rtol=1e-6)


def test_black_and_white_stay_finite_and_in_range() -> None:
    values = torch.tensor([0.0, 255.0]).repeat(3, 1)[None, :, :, None].repeat(1, 1, 1, 3)
    changed = jitter(values, np.array([[2.0, 0.1, 1.0]]), np.array([[-1.0, 1.0, 0.0]]))
    assert changed.isfinite().all()
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_what_is_switched_off_changes_nothing_and_shifts_no_other_number() -> None:
    on = draw(np.random.default_rng(5), 50, settle())
    off = draw(np.random.default_rng(5), 50, settle('{"flips": false, "stain": 0}'))
    assert not off.flips.any()
    assert (off.stains == 1).all()
    np.testing.assert_array_equal(on.turns, off.turns)
    np.testing.assert_array_equal(on.shifts, off.shifts)
    nothing = Draws(
        np.zeros(2, int), np.zeros(2, bool), np.tile([1.0, 0, 0], (2, 1)), np.ones((2, 3)),
        np.zeros((2, 3)),
    )  # fmt: skip
    tiles = number_tiles(2)
    torch.testing.assert_close(
        augment(tiles, nothing, SIDE), tiles.permute(0, 3, 1, 2).float(), atol=0, rtol=0
    )


def test_a_part_of_a_batch_is_augmented_as_in_the_whole() -> None:
    tiles = number_tiles(9)
    draws = draw(np.random.default_rng(1), 9, settle('{"crop": 0.5}'))
    whole = augment(tiles, draws, 8)
    part = augment(tiles[4:7], draws.part(slice(4, 7)), 8)
    torch.testing.assert_close(part, whole[4:7], atol=1e-4, rtol=0)
    assert whole.shape == (9, 3, 8, 8)
    assert not torch.equal(whole[0], whole[1] - 1)
