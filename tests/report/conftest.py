import numpy as np
import pytest

from histo_ray.report.canvas import Picture
from histo_ray.types import Mpp, Pyramid, TileGrid, TissueMask

DOWNSAMPLE = (5.0, 4.0)  # x differs from y


@pytest.fixture
def pyramid() -> Pyramid:
    return Pyramid("S1", Mpp(0.25, 0.3), "file", ((4000, 2000), (1000, 500)))


@pytest.fixture
def overview() -> Picture:
    return np.full((500, 800, 3), 240, np.uint8)


@pytest.fixture
def mask() -> TissueMask:
    pixels = np.zeros((50, 100), bool)  # 40 level-0 px a mask px
    pixels[10:30, 20:70] = True
    return TissueMask(pixels, (40.0, 40.0))


@pytest.fixture
def grid() -> TileGrid:
    coords = np.array([[0, 0], [400, 0], [3600, 1600]], np.int32)  # up to both far edges
    return TileGrid("S1", coords, np.ones(3, np.float32), (400.0, 400.0))
