"""Labelled synthetic tiles of four tissues that differ in texture more than in colour."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.synth.anatomy import STEP_UM, Anatomy, lay_anatomy
from histo_ray.synth.noise import Field, Window
from histo_ray.synth.stain_mixing import GLASS
from histo_ray.synth.texture import enlarge, paint_tissue
from histo_ray.synth.tissue_looks import TissueLook

CLASSES = ("gland", "lymphocytes", "stroma", "tumour")
"""Glands with a lumen, a crowd of lymphocytes, connective tissue, solid nests."""
TABLE = "tiles.csv"
PATIENTS = 10
_SHEET_COLUMNS = 5
_SAMENESS = 0.85
"""0..1: how far every tile's mean and contrast are drawn to values that reveal no class."""
_CONTRAST = 0.62
"""The same for the coefficient of variation of the optical density."""
_DENSITY = np.array([0.33, 0.60, 0.40], np.float32)
"""Mean optical density (R, G, B; natural logarithm) of a usual H&E tile; it reveals no class."""

Picture = npt.NDArray[np.uint8]

_PLAIN = TissueLook("plain", gland_fraction=0.0, lymphocyte_fraction=0.0, adipose_fraction=0.0)
_LOOKS = {
    "gland": replace(
        _PLAIN, gland_fraction=1.0, gland_spacing_um=92.0, epithelium_um=17.0, mucin=0.6
    ),
    "lymphocytes": replace(_PLAIN, lymphocyte_fraction=0.999, fibrosis=0.3),
    "stroma": replace(_PLAIN, fibrosis=0.8),
    "tumour": replace(
        _PLAIN,
        gland_fraction=1.0,
        gland_spacing_um=210.0,
        lumen_fraction=0.0,
        nuclear_size_um=10.5,
        nuclear_density=1.15,
        pleomorphism=0.32,
        vesicular=0.7,
    ),
}


def write_demo_tiles(
    folder: Path,
    per_class: int,
    seed: int = 0,
    tile_px: int = 64,
    mpp: float = 1.0,
    patients: str = "SYN",
) -> Path:
    """Write PNG tiles into one folder a class, and a table with their patients.

    Every patient has tiles of all classes, a stain of its own, and every tile a mean colour that
    says little of its class.

    Args:
        folder: Where to write; made if it does not exist, files of the same name are replaced.
        per_class: Tiles of each class.
        seed: Another seed, other tiles; the same seed gives the same pixels.
        tile_px: Edge of a tile.
        mpp: Microns per px.
        patients: How the names of its patients begin; other patients have other names.

    Returns:
        Path of the table: `path` (relative to its folder), `label`, `group` and `synthetic`.
    """
    shares = [len(part) for part in np.array_split(np.arange(per_class), PATIENTS)]
    jobs = [(label, patient) for label in CLASSES for patient in range(PATIENTS)]
    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)

    rows = []
    for label, patient in jobs:
        tiles = draw_tiles(label, patient, shares[patient], seed, tile_px, mpp)
        for number, tile in enumerate(tiles):
            path = f"{label}/{label}-p{patient:02}-{number:03}.png"
            cv2.imwrite(str(folder / path), cv2.cvtColor(tile, cv2.COLOR_RGB2BGR))
            rows.append((path, label, f"{patients}-P{patient:02}", "true"))
    table = folder / TABLE
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "group", "synthetic"), *rows])
    return table


def draw_tiles(
    label: str, patient: int, count: int, seed: int, tile_px: int, mpp: float
) -> list[Picture]:
    """Some tiles of one class and patient.

    Returns:
        `count` pictures, (tile_px, tile_px, 3) uint8 RGB.
    """
    rng = np.random.default_rng([seed, patient, CLASSES.index(label)])
    stain = np.random.default_rng([seed, patient]).uniform(size=4)
    look = replace(
        _LOOKS[label],
        haematoxylin=0.8 + 0.5 * stain[0],
        eosin=0.8 + 0.5 * stain[1],
        haematoxylin_tint=stain[2],
        eosin_tint=stain[3],
    )
    tiles: list[Picture] = []
    for tile in _cut_sheets(label, look, int(rng.integers(2**31)), tile_px, mpp):
        if len(tiles) == count:
            break
        tiles.append(_recolour(tile, rng))
    return tiles


def _cut_sheets(
    label: str, look: TissueLook, seed: int, tile_px: int, mpp: float
) -> Iterator[Field]:
    """Tiles of one tissue without end: rows of them, those left out that show something else."""
    row = 0
    while True:
        window = Window(0.0, row * tile_px * mpp, mpp, _SHEET_COLUMNS * tile_px, tile_px)
        pure = _purity(label, look, seed, window, tile_px)
        if pure.any():
            sheet = paint_tissue(look, seed, window)
            for column in np.flatnonzero(pure):
                yield sheet[:, column * tile_px : (column + 1) * tile_px]
        row += 1


def _purity(
    label: str, look: TissueLook, seed: int, window: Window, tile_px: int
) -> npt.NDArray[np.bool_]:
    """Which tiles of a row are mostly of their class."""
    if label in ("stroma", "lymphocytes"):
        return np.ones(_SHEET_COLUMNS, bool)
    left, top = window.left - STEP_UM, window.top - STEP_UM
    width = int(window.width * window.step / STEP_UM) + 3
    height = int(window.height * window.step / STEP_UM) + 3
    coarse = Window(left, top, STEP_UM, width, height)
    anatomy: Anatomy = lay_anatomy(look, seed, coarse)
    inside = enlarge(anatomy.depth, coarse, window) > 0
    shares = inside.reshape(tile_px, _SHEET_COLUMNS, tile_px).mean(axis=(0, 2))
    pure: npt.NDArray[np.bool_] = shares > (0.75 if label == "tumour" else 0.6)
    return pure


def _recolour(tile: Field, rng: np.random.Generator) -> Picture:
    """Bring mean and contrast of the optical density near to ones that reveal no class, with noise.

    A power sets the contrast and a gain the mean, so that what is white stays white.
    """
    density = np.maximum(-np.log((tile + 1) / (GLASS + 1)), 1e-4)
    grey = density.mean(axis=2)
    contrast = _CONTRAST * np.exp(rng.normal(0, 0.2)) * grey.mean() / grey.std()
    density **= np.float32(contrast**_SAMENESS)
    target = _DENSITY * np.exp(rng.normal(0, 0.28) + rng.normal(0, 0.12, 3))
    density *= ((target / density.mean(axis=(0, 1))) ** _SAMENESS).astype(np.float32)
    light = (GLASS + 1) * np.exp(-density) - 1 + rng.normal(0, 1.5, tile.shape)
    picture: Picture = np.clip(np.round(light), 0, 255).astype(np.uint8)
    return picture
