from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from histo_ray.cohort.folds import (
    draw_folds,
)
from histo_ray.learn.heads.least_squares import solve_least_squares, sum_moments
from histo_ray.learn.heads.registry import load_tile_head
from histo_ray.learn.tiles.tile_heads import (
    EmbeddedTiles,
    TileHeadSettings,
    choose_tile_head,
    predict_other_tiles,
    predict_tile_fold,
    start_tile_head,
)

Name = Literal["logistic", "svm", "knn", "least-squares"]
NAMES: list[Name] = ["logistic", "svm", "knn", "least-squares"]
FOLD = 1


def make_tiles(rows: int = 240, dim: int = 17, seed: int = 0) -> EmbeddedTiles:
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])).astype(np.int32)
    means = rng.normal(0, 0.8, (4, dim))
    features = (means[labels] + rng.normal(size=(rows, dim))) * rng.uniform(0.1, 9, dim) + 3
    features[:, 5] = 2.5  # constant
    return EmbeddedTiles(features.astype(np.float16), labels, 4)


def parts_of(tiles: EmbeddedTiles) -> npt.NDArray[np.int32]:
    parts: npt.NDArray[np.int32] = draw_folds([str(k) for k in tiles.labels], 5, 1, 0).fold_ids[0]
    return parts


@pytest.mark.parametrize("head", NAMES)
def test_classes_of_the_judged_fold_change_nothing(head: Name) -> None:
    tiles = make_tiles()
    parts = parts_of(tiles)
    clean = predict_tile_fold(tiles, parts, FOLD, TileHeadSettings(head, inner_parts=4))
    labels = tiles.labels.copy()
    labels[parts == FOLD] = (labels[parts == FOLD] + 1) % 4
    poisoned = EmbeddedTiles(tiles.embeddings, labels, 4)
    again = predict_tile_fold(poisoned, parts, FOLD, TileHeadSettings(head, inner_parts=4))
    assert again.choice == clean.choice
    np.testing.assert_array_equal(again.predicted, clean.predicted)
    np.testing.assert_array_equal(again.confidence, clean.confidence)


@pytest.mark.parametrize("head", NAMES)
def test_features_of_the_judged_fold_do_not_change_what_is_learnt(head: Name) -> None:
    tiles = make_tiles()
    parts = parts_of(tiles)
    clean = predict_tile_fold(tiles, parts, FOLD, TileHeadSettings(head))
    wild = tiles.embeddings.copy()
    wild[np.flatnonzero(parts == FOLD)[1:]] = 60_000
    again = predict_tile_fold(
        EmbeddedTiles(wild, tiles.labels, 4), parts, FOLD, TileHeadSettings(head)
    )
    assert again.choice == clean.choice
    assert again.predicted[0] == clean.predicted[0]
    assert again.confidence[0] == pytest.approx(clean.confidence[0], rel=1e-4)


@pytest.mark.parametrize(
    ("head", "model"),
    [
        ("logistic", lambda choice: LogisticRegression(C=choice, max_iter=5000)),
        ("svm", lambda choice: LinearSVC(C=choice, dual=False)),
        ("knn", lambda choice: KNeighborsClassifier(int(choice), algorithm="brute")),
    ],
)
def test_a_head_is_scikit_learns_at_the_choice_that_was_made(
    head: Literal["logistic", "svm", "knn"], model: object
) -> None:
    tiles = make_tiles()
    parts = parts_of(tiles)
    judged = predict_tile_fold(tiles, parts, FOLD, TileHeadSettings(head))
    features = tiles.embeddings.astype(np.float32)
    train = parts != FOLD
    assert callable(model)
    theirs = make_pipeline(StandardScaler(), model(judged.choice))
    theirs.fit(features[train], tiles.labels[train])
    same = theirs.predict(features[~train]) == judged.predicted
    assert same.mean() > 0.97
    assert (judged.predicted == tiles.labels[~train]).mean() > 0.8
    assert judged.choice in load_tile_head(head).choices


def test_least_squares_is_scikit_learns_ridge() -> None:
    tiles = make_tiles()
    features = tiles.embeddings.astype(np.float64)
    head = solve_least_squares(sum_moments(tiles.embeddings, tiles.labels, 4), 0.01)
    one_hot = np.eye(4)[tiles.labels]
    theirs = make_pipeline(StandardScaler(), Ridge(alpha=0.01 * len(features)))
    np.testing.assert_allclose(
        head.score(tiles.embeddings), theirs.fit(features, one_hot).predict(features), atol=2e-3
    )
    assert (head.weights[5] == 0).all()


def test_moments_of_parts_serve_every_fold() -> None:
    tiles = make_tiles(rows=400, dim=500)  # more features than rows to train on
    parts = parts_of(tiles)
    settings = TileHeadSettings("least-squares", inner_parts=2)
    shared = start_tile_head(tiles, parts, settings)
    for fold in range(5):
        alone = predict_tile_fold(tiles, parts, fold, settings)
        together = predict_tile_fold(tiles, parts, fold, settings, shared)
        np.testing.assert_array_equal(alone.predicted, together.predicted)
        assert alone.choice == together.choice
    assert (alone.predicted == tiles.labels[parts == 4]).mean() > 0.8


@pytest.mark.parametrize("head", NAMES)
def test_an_external_set_is_judged_by_a_head_trained_on_all(head: Name) -> None:
    tiles = make_tiles()
    judged = predict_other_tiles(tiles, parts_of(tiles), tiles.embeddings, TileHeadSettings(head))
    assert judged.predicted.shape == judged.confidence.shape == (240,)
    assert (judged.predicted == tiles.labels).mean() > 0.85


@pytest.mark.parametrize("head", NAMES)
def test_a_class_that_the_inner_training_part_lacks_is_no_obstacle(head: Name) -> None:
    tiles = make_tiles()
    labels, parts = tiles.labels.copy(), parts_of(tiles)
    rare = np.flatnonzero(parts == FOLD + 1)[:3]
    labels[labels == 3] = 0
    labels[rare] = 3  # only in the part that is held out to choose on
    judged = predict_tile_fold(
        EmbeddedTiles(tiles.embeddings, labels, 4), parts, FOLD, TileHeadSettings(head)
    )
    assert len(judged.predicted) == (parts == FOLD).sum()


def test_two_classes_are_enough() -> None:
    tiles = make_tiles()
    two = EmbeddedTiles(tiles.embeddings, np.minimum(tiles.labels, 1).astype(np.int32), 2)
    for head in NAMES:
        judged = predict_tile_fold(two, parts_of(two), 0, TileHeadSettings(head))
        assert set(judged.predicted) == {0, 1}


def test_auto_takes_least_squares_only_where_logistic_regression_is_dear() -> None:
    small = {"rows": 2400, "dim": 1280, "n_classes": 5, "fits": 250}
    paper = {"rows": 80_000, "dim": 2048, "n_classes": 9, "fits": 250}
    assert choose_tile_head("logistic", "auto", **small) == "logistic"
    assert choose_tile_head("logistic", "auto", **paper) == "least-squares"
    assert choose_tile_head("logistic", "exact", **paper) == "logistic"
    assert choose_tile_head("logistic", "fast", **small) == "least-squares"
    assert choose_tile_head("svm", "fast", **paper) == "svm"
