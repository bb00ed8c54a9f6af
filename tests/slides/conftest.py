"""Small real files: images with a gradient along each axis, never square."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import settings
from pyarrow import fs

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


@pytest.fixture
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`s3://slides`, an empty bucket on a real S3-speaking server process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dummy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            system = fs.S3FileSystem(
                scheme="http",
                endpoint_override=f"127.0.0.1:{port}",
                region="us-east-1",
                allow_bucket_creation=True,
            )
            system.create_dir("slides")
            yield "s3://slides"
        finally:
            server.terminate()
