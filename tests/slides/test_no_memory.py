"""Images and masks of an allowed size in a process that has too little memory for them."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

READ = """
import resource, sys
from histo_ray.slides.reader import open_slide
from histo_ray.tiles.masks import read_mask

def read(path):
    try:
        open_slide(path, mpp=1).close() if sys.argv[1] == "slide" else read_mask(path, (12, 10))
    except Exception as error:
        print(type(error).__name__, error)

read(sys.argv[2])  # all modules are there
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (25 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
read(sys.argv[3])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    for name, step in (("large", 1), ("small", 50)):
        image = np.full((5000 // step, 6000 // step, 3), 240, np.uint8)
        cv2.circle(image, (2000 // step, 2500 // step), 900 // step, (150, 80, 190), -1)
        for suffix in ("png", "jpg"):
            assert cv2.imwrite(str(folder / f"{name}.{suffix}"), image)
        tifffile.imwrite(folder / f"{name}.tif", image, photometric="rgb", compression="deflate")
    return folder


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc/self/statm to limit by")
@pytest.mark.parametrize(
    ("what", "name"),
    [("slide", "png"), ("slide", "jpg"), ("slide", "tif"), ("mask", "png"), ("mask", "tif")],
)
def test_too_little_memory_is_not_called_damage(folder: Path, what: str, name: str) -> None:
    command = [sys.executable, "-c", READ, what, f"small.{name}", f"large.{name}"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=True
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("SlideError")
    assert "memory has no room" in line
    assert "lower resolution" in line or "6000 x 5000 px (90 MB of RGB)" in line
    assert "damaged" not in line
