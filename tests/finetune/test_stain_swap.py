from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from histo_ray.finetune.augment import augment, draw
from histo_ray.finetune.recipe import AugmentConfig
from histo_ray.finetune.stain_space import STAINS
from histo_ray.finetune.stain_swap import (
    GAIN_RANGE,
    StainStatistics,
    match_stains,
    measure_donors,
    measure_stains,
)

PLAIN = '{"flips": false, "rotations": false, "stain": 0, "stain_shift": 0, "stain_swap": '


def stain_tiles(mean: list[float], sd: float, seed: int = 0) -> torch.Tensor:
    """(2, 3, 40, 60) tiles in 0..255 whose stains have these mean amounts, in float."""
    rng = np.random.default_rng(seed)
    amounts = np.clip(np.array(mean) + rng.normal(0, sd, (2, 40, 60, 3)), 0, None)
    return torch.from_numpy(256 * np.exp(-amounts @ STAINS) - 1).permute(0, 3, 1, 2)


def settle(share: float) -> AugmentConfig:
    return AugmentConfig.model_validate_json(f"{PLAIN}{share}}}")


def test_the_amounts_of_each_stain_are_measured_over_stained_pixels_alone() -> None:
    tiles = stain_tiles([0.5, 0.3, 0.2], 0.05)
    found = measure_stains(tiles)
    np.testing.assert_allclose(found.mean, [[0.5, 0.3, 0.2]] * 2, atol=0.01)
    np.testing.assert_allclose(found.sd, 0.05, atol=0.005)
    tiles[:, :, :, :30] = 255  # half of it is glass
    np.testing.assert_allclose(measure_stains(tiles).mean, found.mean, atol=0.01)


def test_a_tile_without_stain_has_no_statistics_and_keeps_its_colours() -> None:
    found = measure_stains(torch.full((1, 3, 40, 60), 250.0))
    assert np.isnan(found.mean).all()
    gain, shift = match_stains(found, measure_stains(stain_tiles([0.5, 0.3, 0.2], 0.05)[:1]))
    assert (gain == 1).all()
    assert (shift == 0).all()


def test_a_swapped_tile_has_the_statistics_of_its_donor() -> None:
    own = measure_stains(stain_tiles([0.5, 0.3, 0.2], 0.05))
    donors = measure_stains(stain_tiles([0.3, 0.5, 0.1], 0.08, seed=1))
    gain, shift = match_stains(own, donors)
    np.testing.assert_allclose(gain * own.mean + shift, donors.mean)
    np.testing.assert_allclose(gain * own.sd, donors.sd)
    wide = StainStatistics(donors.mean, donors.sd * 100)
    assert (match_stains(own, wide)[0] == GAIN_RANGE[1]).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_augmentation_swaps_as_often_as_it_is_asked_to(share: float) -> None:
    tiles = stain_tiles([0.5, 0.3, 0.2], 0.05)[:, :, :40, :40].round().byte().permute(0, 2, 3, 1)
    bank = measure_stains(stain_tiles([0.3, 0.5, 0.1], 0.05, seed=1))
    draws = draw(np.random.default_rng(0), 2, settle(share), bank)
    mean = measure_stains(augment(tiles, draws, 40)).mean
    np.testing.assert_allclose(
        mean, [[[0.5, 0.3, 0.2], [0.3, 0.5, 0.1]][int(share)]] * 2, atol=0.02
    )
    part = draws.part(slice(1, 2))
    torch.testing.assert_close(
        augment(tiles[1:], part, 40), augment(tiles, draws, 40)[1:], atol=1e-3, rtol=0
    )


def test_half_of_the_tiles_are_swapped_and_no_other_number_shifts() -> None:
    bank = StainStatistics(np.arange(15.0).reshape(5, 3), np.ones((5, 3)))
    on = draw(np.random.default_rng(5), 400, settle(0.5), bank)
    off = draw(np.random.default_rng(5), 400, settle(0.0))
    assert off.donors is None
    assert on.donors is not None
    assert 150 < np.isnan(on.donors.mean[:, 0]).sum() < 250
    assert set(on.donors.mean[np.isfinite(on.donors.mean[:, 0]), 0]) == {0, 3, 6, 9, 12}
    np.testing.assert_array_equal(on.crops, off.crops)
    np.testing.assert_array_equal(on.shifts, off.shifts)


def test_donors_follow_from_the_seed_alone(make_job: Callable[..., tuple[Any, Any]]) -> None:
    job, _ = make_job()
    first, again, other = (measure_donors(job.train, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)
    assert np.isfinite(first.mean).all()
    assert 0 < len(first.mean) <= len(job.train)


def test_jitter_varies_the_amounts_that_were_taken_over() -> None:
    tiles = stain_tiles([0.5, 0.3, 0.2], 0.05)[:, :, :40, :40].round().byte().permute(0, 2, 3, 1)
    bank = measure_stains(stain_tiles([0.3, 0.5, 0.1], 0.05, seed=1))
    draws = draw(np.random.default_rng(0), 2, settle(1.0), bank)
    draws = draws._replace(stains=np.array([[1.2, 0.8, 1.0]] * 2), shifts=np.full((2, 3), 0.05))
    mean = measure_stains(augment(tiles, draws, 40)).mean
    np.testing.assert_allclose(mean, [[0.3 * 1.2 + 0.05, 0.5 * 0.8 + 0.05, 0.15]] * 2, atol=0.02)
