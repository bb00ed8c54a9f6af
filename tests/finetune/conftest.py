"""Small labelled tiles that a small network can learn in seconds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from histo_ray.encoders.registry import resolve
from histo_ray.encoders.weights import digest_weights
from histo_ray.finetune.classifier import Classifier, build_classifier
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.job import FinetuneJob
from histo_ray.finetune.recipe import read_recipe
from histo_ray.finetune.training_tiles import ArrayTiles, TileSubset
from tests.finetune.short import BASE, short_config

CLASSES = ("dots", "plain", "stripes")
PX = 48

Pixels = npt.NDArray[np.uint8]
MakeJob = Callable[..., tuple[FinetuneJob, Classifier]]


def draw_tiles(count: int, seed: int = 0) -> tuple[Pixels, npt.NDArray[np.int32]]:
    """(count, 48, 48, 3) tissue-coloured tiles with dots, nothing or stripes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % len(CLASSES)).astype(np.int32)
    colour = rng.uniform((170, 90, 140), (230, 150, 200), (count, 3))[:, None, None]
    tiles = colour + rng.normal(0, 8, (count, PX, PX, 3))
    rows = np.arange(PX)
    for tile, label in zip(tiles, labels, strict=True):
        phase = rng.integers(8)
        if CLASSES[label] == "stripes":
            tile[(rows + phase) % 8 < 3] -= 60
        if CLASSES[label] == "dots":
            on = (rows + phase) % 8 < 3
            tile[np.outer(on, on)] -= 80
    return np.clip(tiles, 0, 255).astype(np.uint8), labels


def job_of(
    *changes: str, seed: int = 0, base: str = BASE, tiles: int = 81, **fields: Any
) -> tuple[FinetuneJob, Any]:
    """A job on 60 training and 21 held-out tiles, and its classifier; keywords change it."""
    pixels, labels = draw_tiles(tiles)
    held_out = tiles - tiles * 21 // 81
    array = ArrayTiles(pixels, labels, CLASSES, "digest")
    classifier, spec = build_classifier(resolve(base), CLASSES)
    recipe = read_recipe("default", ["network.epochs=2", "batch_size=16", *changes])
    job = FinetuneJob(
        spec, digest_weights(classifier.network.state_dict()),
        TileSubset(array, np.arange(held_out)), TileSubset(array, np.arange(held_out, tiles)),
        recipe, seed, **fields,
    )  # fmt: skip
    return job, classifier


@pytest.fixture(scope="session")
def make_job() -> MakeJob:
    """`job_of` for tests."""
    return job_of


def _write_tiles(folder: Path, count: int, seed: int) -> Path:
    pixels, labels = draw_tiles(count, seed)
    for number, (tile, label) in enumerate(zip(pixels, labels, strict=True)):
        place = folder / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile).save(place / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def write_tiles() -> Callable[[Path, int, int], Path]:
    """Writes so many PNG tiles of a seed into a folder, one folder a class."""
    return _write_tiles


@pytest.fixture(scope="session")
def tile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 90 PNG tiles, one folder a class."""
    return _write_tiles(tmp_path_factory.mktemp("labelled") / "tiles", 90, 3)


@pytest.fixture
def make_config(tile_folder: Path, tmp_path: Path) -> Callable[..., FinetuneConfig]:
    """Settings of a short run over the folder; keywords change them."""
    return partial(short_config, tile_folder, tmp_path / "store")
