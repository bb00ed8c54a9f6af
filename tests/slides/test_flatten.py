import numpy as np
import pytest

from histo_ray.slides.flatten import flatten_alpha


def test_opaque_pixels_keep_their_values() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (5, 9, 4), np.uint8)
    rgba[..., 3] = 255
    np.testing.assert_array_equal(flatten_alpha(rgba, (1, 2, 3)), rgba[..., :3])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (4, 8)])
def test_one_transparent_pixel_in_a_corner_becomes_background(row: int, column: int) -> None:
    rgba = np.full((5, 9, 4), 255, np.uint8)
    rgba[row, column] = 0
    flat = flatten_alpha(rgba, (240, 230, 220))
    assert flat[row, column].tolist() == [240, 230, 220]
    assert (flat == 255).all(axis=2).sum() == 44


def test_half_transparent_pixels_mix_with_the_background() -> None:
    rgba = np.array([[[200, 100, 0, 51], [200, 100, 0, 204]]], np.uint8)
    assert flatten_alpha(rgba, (100, 100, 255)).tolist() == [[[120, 100, 204], [180, 100, 51]]]
