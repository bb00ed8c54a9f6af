"""Fits of labelled tiles: a predictor of classes, for every head that is linear."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from histo_ray.api.fit import fit
from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.learn.heads.base import EmbeddedTiles
from histo_ray.learn.tiles.tile_heads import TileHeadSettings, predict_other_tiles
from histo_ray.predict.files import load_predictor
from histo_ray.predict.fitting.fit import FitResult
from histo_ray.predict.fitting.fit_command import fit_settings
from histo_ray.store.store import open_store
from tests.made_up import draw_tiles

ENCODER = "random:resnet10t?seed=0&px=64"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tissue")
    tiles = draw_tiles(folder / "tiles", 12, seed=0)
    paths = sorted(tiles.rglob("*.png"))
    lines = [f"{path},{path.parent.name},patient {at % 9}" for at, path in enumerate(paths)]
    (folder / "tiles.csv").write_text("\n".join(["path,label,group", *lines]) + "\n")
    return folder


def run_fit(place: Path, **changes: Any) -> FitResult:
    given = {
        "store": str(place / "store"), "tiles": str(place / "tiles.csv"), "encoder": (ENCODER,),
        "name": "tissues", "folds": 3, "repeats": 2, "resamples": 100, "device": "cpu",
        "address": "none", "mpp": 0.5,
    }  # fmt: skip
    settings = parse_settings(fit_settings(TASKS["tissue"]), given | changes, "test")
    return fit(TASKS["tissue"], settings)


@pytest.mark.parametrize(
    ("head", "solver"), [("logistic", "auto"), ("svm", "auto"), ("logistic", "fast")]
)
def test_tiles_are_scored_as_the_evaluation_scores_an_external_set(
    place: Path, head: str, solver: str
) -> None:
    name = f"{head}-{solver}"
    result = run_fit(place, name=name, head=head, solver=solver)
    card = result.predictor.card
    (part,) = card.parts
    bag = open_store(str(place / "store")).labelled("tiles", card.encoder.name)
    classes = sorted(set(bag.labels))
    labels = np.array([classes.index(label) for label in bag.labels], np.int32)
    folds = pd.read_parquet(place / "store" / card.evaluation.folder / "folds.parquet")
    first = folds[folds["repeat"] == 0]
    fold_ids = np.empty(len(labels), np.int32)
    fold_ids[first["item"].astype(int)] = first["fold"]
    plain = predict_other_tiles(
        EmbeddedTiles(bag.embeddings, labels, 3), fold_ids, bag.embeddings,
        TileHeadSettings(part.head),
    )  # fmt: skip
    loaded = load_predictor(name, str(place / "store"))
    scores = loaded.predict_tiles(bag.embeddings)
    assert scores.shape == (36, 3)
    np.testing.assert_array_equal(scores.argmax(1), plain.predicted)
    np.testing.assert_allclose(scores.max(1), plain.confidence, atol=1e-4)
    assert set(card.target_names) == {"ADI", "LYM", "TUM"}
    assert {target.choice for target in card.targets} == {plain.choice}
    expected = {"auto": head, "fast": "least-squares"}[solver]
    assert part.head == expected


def test_the_card_knows_tiles_patients_and_scores(place: Path) -> None:
    card = run_fit(place).predictor.card
    assert (card.kind, card.cohort.n_patients) == ("classes", 9)
    assert len(card.cohort.patient_hashes or ()) == 9
    assert [target.n_patients for target in card.targets] == [12, 12, 12]
    assert {target.metric for target in card.targets} == {"recall"}
    assert all(0 <= (target.score or -1) <= 1 for target in card.targets)
    assert card.tiling.settings == {"tile_px": 32, "mpp": 0.5}
    assert card.tiling.fingerprint.startswith("x")
    assert card.evaluation.score is not None
    assert run_fit(place).was_there


def test_tiles_of_unknown_patients_have_no_hashes(place: Path) -> None:
    card = run_fit(place, tiles=str(place / "tiles"), name="unknown",
                   store=str(place / "other")).predictor.card  # fmt: skip
    assert card.cohort.patient_hashes is None
    assert card.cohort.n_patients == 0


def test_nearest_neighbours_are_refused_with_the_reason(place: Path) -> None:
    with pytest.raises(ConfigError, match="--head knn: it would keep all tiles, not weights"):
        run_fit(place, head="knn")
