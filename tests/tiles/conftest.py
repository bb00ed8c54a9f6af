"""Small real files: images with a gradient along each axis, never square."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import settings

Pixels = npt.NDArray[np.uint8]
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

WIDTH, HEIGHT = 700, 420


@pytest.fixture(scope="session")
def gradient() -> Pixels:
    """(420, 700, 3): red rises with x, green with y, blue stays."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    blue = np.full_like(x, 40)
    return np.stack([x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), blue], -1).astype(np.uint8)


@pytest.fixture(scope="session")
def tiled_tiff(tmp_path_factory: pytest.TempPathFactory, gradient: Pixels) -> Path:
    """A two-level tiled TIFF that OpenSlide takes; 0.5 mpp along x and 0.25 along y."""
    path = tmp_path_factory.mktemp("tiff") / "pyramid.tif"
    options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(gradient, resolution=(20_000, 40_000), resolutionunit="CENTIMETER", **options)
        tiff.write(gradient[::4, ::4], subfiletype=1, **options)
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real slides and tiles."""
    folder = os.environ.get("HISTO_RAY_TEST_DATA")
    if not folder:
        pytest.skip("HISTO_RAY_TEST_DATA is unset: real slides are not at hand")
    return Path(folder)
