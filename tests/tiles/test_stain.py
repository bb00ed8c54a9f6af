from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from histo_ray.synth.noise import Window
from histo_ray.synth.texture import paint_tissue
from histo_ray.synth.tissue_looks import INFLAMED, SOLID
from histo_ray.tiles.stain import (
    LEAST_DENSITY,
    LIGHT,
    MACENKO_TARGET,
    REINHARD_TARGET,
    MacenkoFit,
    Pixels,
    ReinhardFit,
    fit_macenko,
    fit_reinhard,
    fit_stain,
    normalise,
)

torchstain = pytest.importorskip("torchstain.numpy.normalizers", reason="torchstain is missing")


def painted(seed: int, look: Any = SOLID) -> Pixels:
    """(90, 140, 3) of synthetic tissue."""
    pixels: Pixels = np.round(paint_tissue(look, seed, Window(0, 0, 0.5, 140, 90))).astype(np.uint8)
    return pixels


def stained_only(pixels: Pixels) -> Pixels:
    """(1, n, 3): what torchstain, which knows no background, may see."""
    flat = pixels.reshape(-1, 3)
    density = -np.log((flat + 1.0) / LIGHT).mean(axis=1)
    stained: Pixels = flat[density >= LEAST_DENSITY]
    return stained[np.newaxis]


def tissue_tiles(folder: Path) -> list[Pixels]:
    paths = sorted(path for path in folder.glob("nct9/*/*") if path.parent.name != "BACK")
    return [np.asarray(Image.open(path)) for path in paths]


def check_against_torchstain(pixels: Pixels, target: Pixels) -> None:
    """Both methods within one grey level: torchstain cuts decimals off, we round."""
    macenko = torchstain.NumpyMacenkoNormalizer()
    fit = fit_macenko(pixels)
    assert not fit.problem
    theirs = macenko.normalize(pixels, stains=False)[0].astype(int)
    assert np.abs(theirs - normalise(pixels, fit)).max() <= 1
    macenko.fit(target)
    wanted = fit_macenko(target)
    np.testing.assert_allclose(macenko.HERef.T, [wanted.haematoxylin, wanted.eosin], atol=1e-9)
    np.testing.assert_allclose(macenko.maxCRef, wanted.amounts, rtol=1e-9)
    theirs = macenko.normalize(pixels, stains=False)[0].astype(int)
    assert np.abs(theirs - normalise(pixels, fit, wanted)).max() <= 1

    reinhard = torchstain.NumpyReinhardNormalizer()
    here, there = stained_only(pixels), stained_only(target)
    reinhard.fit(there)
    theirs = reinhard.normalize(here).astype(int)
    assert np.abs(theirs - normalise(here, fit_reinhard(here), fit_reinhard(there))).max() <= 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_numbers_on_synthetic_tissue_are_torchstains(seed: int) -> None:
    check_against_torchstain(painted(seed), painted(9, INFLAMED))


def test_numbers_on_real_tiles_are_torchstains(real_data: Path) -> None:
    tiles = tissue_tiles(real_data / "tiles")
    sound = [tile for tile in tiles if not fit_macenko(tile).problem]
    assert len(sound) >= 50
    for tile in sound:
        check_against_torchstain(tile, sound[len(sound) // 2])


def test_the_reinhard_target_is_that_of_the_public_tiles(real_data: Path) -> None:
    paths = sorted((real_data / "tiles").glob("nct9/*/*"))
    fit = fit_reinhard(np.stack([np.asarray(Image.open(path)) for path in paths]))
    np.testing.assert_allclose(fit.mean, REINHARD_TARGET.mean, atol=0.01)
    np.testing.assert_allclose(fit.std, REINHARD_TARGET.std, atol=0.01)


@pytest.mark.parametrize(
    ("method", "target"), [("macenko", MACENKO_TARGET), ("reinhard", REINHARD_TARGET)]
)
def test_normalised_tissue_has_the_targets_stain(method: Any, target: Any) -> None:
    pixels = painted(4)
    found = fit_stain(normalise(pixels, fit_stain(pixels, method)), method)
    if isinstance(found, MacenkoFit):
        np.testing.assert_allclose(found.haematoxylin, target.haematoxylin, atol=0.05)
        np.testing.assert_allclose(found.eosin, target.eosin, atol=0.08)
        np.testing.assert_allclose(found.amounts, target.amounts, rtol=0.2)
    else:
        np.testing.assert_allclose(found.mean, target.mean, atol=2)
        np.testing.assert_allclose(found.std, target.std, rtol=0.15)


def test_two_stains_of_one_tissue_become_alike() -> None:
    window = Window(0, 0, 0.5, 140, 90)
    thick = np.clip(243 * (paint_tissue(SOLID, 5, window) / 243) ** 1.5, 0, 255).astype(np.uint8)
    thin = painted(5)
    before = np.abs(thick.astype(int) - thin).mean()
    for method in ("macenko", "reinhard"):
        a, b = (normalise(x, fit_stain(x, method)).astype(int) for x in (thick, thin))
        assert np.abs(a - b).mean() < 0.4 * before


def test_the_background_stays_what_it_is() -> None:
    pixels = painted(6)
    pixels[:30] = 243
    assert (normalise(pixels, fit_reinhard(pixels))[:30] == 243).all()
    assert np.abs(normalise(pixels, fit_macenko(pixels))[:30].astype(int) - 243).max() <= 6


def test_a_fit_is_of_many_tiles_and_any_shape() -> None:
    tiles = np.stack([painted(7), painted(8)])
    for method in ("macenko", "reinhard"):
        fit = fit_stain(tiles, method)
        assert fit == fit_stain(tiles.reshape(-1, 3), method)
        whole = normalise(tiles, fit)
        assert whole.shape == tiles.shape
        assert np.array_equal(whole[1], normalise(tiles[1], fit))


@pytest.mark.parametrize(
    ("pixels", "problem"),
    [
        (
            np.full((40, 50, 3), 255, np.uint8),
            "0 of 2000 pixels are stained, at least 200 are needed",
        ),
        (
            np.full((400, 500, 3), 243, np.uint8),
            "0 of 200000 pixels are stained, at least 1000 are needed",
        ),
        (np.zeros((0, 50, 3), np.uint8), "0 of 0 pixels are stained"),
        (np.full((40, 50, 3), (150, 60, 120), np.uint8), "one"),
        (np.zeros((40, 50, 3), np.uint8), "one"),
    ],
)
@pytest.mark.parametrize("fit", [fit_macenko, fit_reinhard])
def test_what_shows_no_stain_stays_as_it_is_and_the_fit_says_why(
    fit: Any, pixels: Pixels, problem: str
) -> None:
    found = fit(pixels)
    assert problem in found.problem
    assert normalise(pixels, found) is pixels


@given(arrays(np.uint8, (16, 17, 3)), st.sampled_from(["macenko", "reinhard"]))
def test_no_pixels_give_nan(pixels: Pixels, method: Any) -> None:
    fit = fit_stain(pixels, method)
    numbers = (
        [*fit.haematoxylin, *fit.eosin, *fit.amounts]
        if isinstance(fit, MacenkoFit)
        else [*fit.mean, *fit.std]
    )
    assert np.isfinite(numbers).all()
    assert normalise(pixels, fit).shape == pixels.shape


def test_a_target_must_be_sound_and_of_the_same_method() -> None:
    pixels = painted(1)
    with pytest.raises(ValueError, match="it must be a MacenkoFit without a problem"):
        normalise(pixels, fit_macenko(pixels), REINHARD_TARGET)
    broken = ReinhardFit((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "nothing there")
    with pytest.raises(ValueError, match="nothing there"):
        normalise(pixels, fit_reinhard(pixels), broken)
