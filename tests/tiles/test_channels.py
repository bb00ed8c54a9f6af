from typing import Any

import numpy as np
import pytest

from histo_ray.tiles.channels import greatest_channel, least_channel, mean_channel


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channels_are_reduced_as_numpy_does_along_the_axis(dtype: type) -> None:
    image: Any = (np.random.default_rng(0).random((40, 30, 3)) * 255).astype(dtype)
    assert np.array_equal(least_channel(image), image.min(axis=2))
    assert np.array_equal(greatest_channel(image), image.max(axis=2))
    if dtype is np.float32:
        assert np.array_equal(mean_channel(image), image.mean(axis=2))
        assert mean_channel(image).dtype == np.float32
