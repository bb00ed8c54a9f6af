"""What the demo promises: the state can be read off the slides, and what it drives with it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histo_ray.slides.manifest import read_manifest
from histo_ray.slides.reader import open_slide
from histo_ray.synth.noise import Numbers
from histo_ray.synth.patient_writer import write_demo_patients
from histo_ray.tiles.pixels import read_tiles


def describe_slide(path: str, slide_id: str) -> Numbers:
    """(tiles, 18) of grey texture at six scales: none of it is colour or contrast."""
    with open_slide(path, slide_id=slide_id) as opened:
        batches = list(read_tiles(opened, mpp=0.5, tile_px=224, tissue="otsu"))
    rows = []
    for tile in np.concatenate([batch.pixels for batch in batches]):
        small = cv2.resize(tile, (64, 64), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        grey = (grey - grey.mean()) / grey.std()
        row: list[float] = []
        for sigma in (0.7, 1.0, 1.4, 2.0, 2.8, 4.0):
            band = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), sigma), cv2.CV_32F)
            row += [np.log(band.std()), float(np.mean(band**3) / band.std() ** 3)]
            row.append(float(np.abs(band).mean() / band.std()))
        rows.append(row)
    return np.array(rows)


@pytest.mark.slow
def test_texture_predicts_what_the_state_drives_and_nothing_else(tmp_path: Path) -> None:
    files = write_demo_patients(tmp_path, seed=2, count=36)
    tiles: dict[str, list[Numbers]] = {}
    for slide in read_manifest(str(files.manifest)):
        tiles.setdefault(slide.patient_id, []).append(describe_slide(slide.path, slide.slide_id))
    expression = pd.read_csv(files.expression, index_col="patient_id")
    mutations = pd.read_csv(files.mutations, index_col="patient_id")
    truth = json.loads(files.truth.read_text(encoding="utf-8"))
    features = np.stack([np.concatenate(tiles[p]).mean(axis=0) for p in expression.index])

    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 11)))
    pearson: dict[bool, list[float]] = {True: [], False: []}
    for name, gene in truth["genes"].items():
        guess = cross_val_predict(ridge, features, expression[name], cv=KFold(6))
        pearson[bool(gene["driver"])].append(np.corrcoef(guess, expression[name])[0, 1])
    assert np.mean(pearson[True]) > 0.4
    assert np.mean(pearson[False]) < 0.1

    logistic = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    auroc: dict[bool, list[float]] = {True: [], False: []}
    for name, mutation in truth["mutations"].items():
        folds = StratifiedKFold(5)
        odds = cross_val_predict(
            logistic, features, mutations[name], cv=folds, method="decision_function"
        )
        auroc[bool(mutation["driver"])].append(roc_auc_score(mutations[name], odds))
    assert np.mean(auroc[True]) > 0.75
    assert np.mean(auroc[False]) < 0.62
