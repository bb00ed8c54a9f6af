import cv2
import numpy as np
import pytest

from histo_ray.tiles.quality import measure_focus


def test_a_blurred_tile_measures_less_than_a_sharp_one() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2)
    focus = measure_focus(np.stack([sharp, np.asarray(blurred, np.uint8)]))
    assert focus.dtype == np.float32
    assert focus[0] > 50 * focus[1] > 0


def test_one_colour_measures_nothing_and_an_empty_batch_is_fine() -> None:
    assert measure_focus(np.full((2, 30, 40, 3), 200, np.uint8)).tolist() == [0.0, 0.0]
    assert measure_focus(np.empty((0, 30, 40, 3), np.uint8)).shape == (0,)


def test_it_is_the_variance_of_the_laplacian_of_luminance() -> None:
    tile = np.random.default_rng(1).integers(0, 256, (24, 36, 3)).astype(np.uint8)
    grey = np.rint(tile @ [0.299, 0.587, 0.114])
    padded = np.pad(grey, 1, mode="reflect")
    laplacian = (
        padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
    )
    assert measure_focus(tile[None])[0] == pytest.approx(laplacian.var(), rel=0.01)
