"""Blur, folds and ink of tiles: physical sizes, whatever stain, contrast and mpp."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.tiles.artefacts import measure_artefacts
from histo_ray.tiles.blur import measure_blur
from histo_ray.tiles.folds import DensityMap, measure_folds
from histo_ray.types import Mpp, Pyramid, TileGrid, TissueMask

MPP = 0.5


def texture(width: int, height: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """An image whose power falls with the square of the frequency, 0..1."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    image = np.fft.irfft2(spectrum / frequency, (height, width))
    return np.asarray((image - image.min()) / np.ptp(image))


def as_tile(image: npt.NDArray[Any], contrast: float = 200) -> npt.NDArray[np.uint8]:
    grey = (240 - contrast * image).round().astype(np.uint8)
    return np.stack([grey, grey // 2, grey], axis=-1)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_blur_is_that_of_the_gaussian_in_microns(sigma: float) -> None:
    image = cv2.GaussianBlur(texture(480, 360), (0, 0), sigma / MPP)
    (found,) = measure_blur(as_tile(image)[None], MPP)
    assert found == pytest.approx(sigma, rel=0.25)
    (pale,) = measure_blur(as_tile(image, 140)[None], MPP)
    assert pale == pytest.approx(found, rel=0.15)
    half = np.asarray(
        cv2.resize(as_tile(image), (240, 180), interpolation=cv2.INTER_AREA), np.uint8
    )
    (coarse,) = measure_blur(half[None], 2 * MPP)  # the same at another mpp
    assert coarse == pytest.approx(found, rel=0.05)


def test_blur_rises_and_one_colour_has_none() -> None:
    image = texture(300, 200)
    tiles = [as_tile(image)]
    tiles += [as_tile(cv2.GaussianBlur(image, (0, 0), s / MPP)) for s in (0.8, 1.5, 2.5)]
    blur = measure_blur(np.stack(tiles), MPP)
    assert blur.dtype == np.float32
    assert (np.diff(blur) > 0.2).all()
    assert np.isnan(measure_blur(np.full((1, 30, 40, 3), 200, np.uint8), MPP)).all()
    assert measure_blur(np.empty((0, 30, 40, 3), np.uint8), MPP).shape == (0,)


def test_a_fold_is_twice_as_dense_as_the_tissue() -> None:
    density = np.full((70, 120), 0.01, np.float32)
    tissue = np.zeros((70, 120), bool)
    tissue[10:60, 20:110] = True
    density[tissue] = 0.3
    density[30:36, 20:110] = 0.6  # a fold of 6 px
    coords = np.array([[400, 120], [400, 280], [0, 0], [1100, 600]], np.int32)
    seen = DensityMap(density, (8.0, 8.0), (10.0, 10.0))
    found = measure_folds(seen, tissue, coords, (100.0, 90.0))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [1.0, 2.0, 0.03, 0.03], atol=0.12)
    twice = measure_folds(seen._replace(density=2 * density), tissue, coords, (100.0, 90.0))
    np.testing.assert_allclose(twice, found, rtol=1e-5)  # stain does not matter
    nothing = measure_folds(seen, tissue & False, coords, (9.0, 9.0))
    assert np.isnan(nothing).all()


def test_ink_is_the_part_of_a_tile_that_marks_cover() -> None:
    ink = np.zeros((70, 120), bool)
    ink[:, 100:] = True
    mask = TissueMask(~ink, (10.0, 12.0), ink, np.full((70, 120), 0.3, np.float32))
    coords = np.array([[0, 0], [950, 0], [1100, 780]], np.int32)
    pyramid = Pyramid("S", Mpp(0.5, 0.5), "file", ((1200, 840),))
    grid = TileGrid("S", coords, np.ones(3, np.float32), (100.0, 60.0))
    found = measure_artefacts(mask, pyramid, grid)
    np.testing.assert_allclose(found["ink"], [0, 0.5, 1], atol=1e-6)
    assert found["fold"].shape == (3,)
    assert measure_artefacts(TissueMask(ink, (10.0, 12.0)), pyramid, grid) == {}
