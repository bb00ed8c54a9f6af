"""Small labelled tile sets on disk."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from histo_ray.tilesets.tileset import TileSet

Pixels = npt.NDArray[np.uint8]
WriteClass = Callable[..., list[Path]]
MakeSet = Callable[..., TileSet]


def noise_of(seed: int, px: int = 24) -> Pixels:
    """A tile of its own."""
    return np.random.default_rng(seed).integers(0, 256, (px, px, 3), dtype=np.uint8)


def write_files(
    folder: Path, label: str, count: int, *, seed: int = 0, suffix: str = ".png", px: int = 24
) -> list[Path]:
    """Different tiles of one class, in files of one kind."""
    (folder / label).mkdir(parents=True, exist_ok=True)
    start = 1000 * seed + 37 * sum(map(ord, label))
    paths = [folder / label / f"{label}-{k:03}{suffix}" for k in range(count)]
    for k, path in enumerate(paths):
        Image.fromarray(noise_of(start + k, px)).save(path)
    return paths


def set_of(
    labels: Sequence[int],
    groups: Sequence[str] | None = None,
    digests: Sequence[str] | None = None,
    *,
    name: str = "made-up",
    tile_px: int = 24,
    classes: tuple[str, ...] = ("a", "b", "c"),
) -> TileSet:
    """A set without files, for what looks at names and numbers only."""
    count = len(labels)
    used = tuple(classes[: max(labels) + 1])
    return TileSet(
        name=name,
        classes=used,
        paths=tuple(f"/tiles/{name}/{k}.png" for k in range(count)),
        labels=np.array(labels, np.int32),
        groups=None if groups is None else tuple(groups),
        digests=tuple(digests or (f"{name}-{k}" for k in range(count))),
        tile_px=tile_px,
    )


@pytest.fixture(scope="session")
def real_tiles() -> Path:
    """The folder of real tiles."""
    place = os.environ.get("HISTO_RAY_TEST_DATA")
    if not place or not (Path(place) / "tiles").is_dir():
        pytest.skip("HISTO_RAY_TEST_DATA names no folder with tiles/nct9 and tiles/colorectal5")
    return Path(place) / "tiles"


@pytest.fixture(scope="session")
def noise() -> Callable[..., Pixels]:
    return noise_of


@pytest.fixture(scope="session")
def write_class() -> WriteClass:
    return write_files


@pytest.fixture(scope="session")
def make_set() -> MakeSet:
    return set_of
