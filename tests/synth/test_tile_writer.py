import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histo_ray.synth.tile_writer import CLASSES, PATIENTS, draw_tiles, write_demo_tiles

Pixels = npt.NDArray[np.uint8]
Table = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, Pixels, float]:
    """(folder, table, (400, 64, 64, 3) RGB, seconds it took)."""
    folder = tmp_path_factory.mktemp("tiles")
    began = time.process_time()
    table = pd.read_csv(write_demo_tiles(folder, per_class=100, seed=1, tile_px=64))
    seconds = time.process_time() - began
    pixels = np.stack([np.asarray(Image.open(folder / path)) for path in table["path"]])
    return folder, table, pixels, seconds


def colour_features(pixels: Pixels) -> Table:
    """(n, 6) mean and standard deviation of R, G, B."""
    return np.concatenate([pixels.mean(axis=(1, 2)), pixels.std(axis=(1, 2))], axis=1)


def texture_features(pixels: Pixels) -> Table:
    """(n, 28) of grey values at mean 0 and deviation 1, so that no colour is left."""
    rows = []
    for tile in pixels:
        grey = cv2.cvtColor(np.ascontiguousarray(tile), cv2.COLOR_RGB2GRAY).astype(np.float32)
        grey = (grey - grey.mean()) / grey.std()
        row: list[float] = [*np.quantile(grey, np.linspace(0.05, 0.95, 10))]
        for size in (0.7, 1.0, 1.4, 2.0, 2.8, 4.0):
            smooth = cv2.GaussianBlur(grey, (0, 0), size)
            bands = cv2.Laplacian(smooth, cv2.CV_32F) * size**2
            row += [np.log(bands.std()), float(np.mean(bands**3) / bands.std() ** 3)]
            row.append(float(np.abs(bands).mean() / bands.std()))
        rows.append(row)
    return np.array(rows)


def accuracy(features: Table, table: pd.DataFrame) -> float:
    """Of a linear classifier on patients that it has not seen."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    guess = cross_val_predict(
        model, features, table["label"], groups=table["group"], cv=GroupKFold(5)
    )
    return float((guess == table["label"]).mean())


def test_every_patient_has_tiles_of_every_class(
    written: tuple[Path, pd.DataFrame, Pixels, float],
) -> None:
    folder, table, pixels, _ = written
    assert sorted(table["label"].unique()) == sorted(CLASSES)
    assert table.groupby(["label", "group"]).size().tolist() == [10] * len(CLASSES) * PATIENTS
    assert pixels.shape == (400, 64, 64, 3)
    assert all((folder / path).parent.name == label for path, label in table.values[:, :2])
    assert len({tile.tobytes() for tile in pixels}) == 400


def test_texture_tells_the_classes_far_better_than_colour(
    written: tuple[Path, pd.DataFrame, Pixels, float],
) -> None:
    _, table, pixels, _ = written
    colour, texture = (accuracy(f(pixels), table) for f in (colour_features, texture_features))
    assert texture > 0.9
    assert colour < texture - 0.15
    assert abs(colour - 0.25) > 0.1  # not unlike real stains, which tell something


def test_four_hundred_tiles_take_seconds(
    written: tuple[Path, pd.DataFrame, Pixels, float],
) -> None:
    assert written[3] < 20  # CPU seconds, with room for a loaded machine; 3 to 4 when idle


def test_the_seed_decides_every_pixel(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_demo_tiles(tmp_path / name, per_class=10, seed=seed, tile_px=48)
    a, b, c = (sorted((tmp_path / name).glob("*/*.png")) for name in "abc")
    assert len(a) == 40
    assert [path.read_bytes() for path in a] == [path.read_bytes() for path in b]
    assert all(x.read_bytes() != y.read_bytes() for x, y in zip(a, c, strict=True))


def test_edge_and_scale_are_those_asked_for() -> None:
    (small,) = draw_tiles("lymphocytes", 0, 1, 0, tile_px=40, mpp=1.0)
    (large,) = draw_tiles("lymphocytes", 0, 1, 0, tile_px=80, mpp=0.5)
    assert small.shape == (40, 40, 3)
    assert large.shape == (80, 80, 3)
    shrunk = cv2.resize(large, (40, 40), interpolation=cv2.INTER_AREA).astype(float)
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.8  # the same tissue
