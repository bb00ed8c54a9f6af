"""Evaluations on a real local Ray; stores on disk."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histo_ray.cluster.run_evaluate import spread_on_ray
from histo_ray.cohort.folds import (
    Folds,
    draw_folds,
)
from histo_ray.errors import ConfigError
from histo_ray.evaluate.engine import run_here, run_job
from histo_ray.evaluate.jobs import Progress, Spread
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.evaluate.tiles.tile_run import make_tile_job
from histo_ray.evaluate.tiles.tile_tables import TileResult, TissuePlan, write_tile_tables
from histo_ray.evaluate.tiles.tile_units import CV, TEST, EmbeddedSet, check_vectors
from histo_ray.learn.tiles.tile_heads import TileHeadSettings
from histo_ray.learn.tiles.tissue_tables import TileTruth, tile_folds
from histo_ray.learn.tiles.tissue_tests import count_tile_support
from histo_ray.schema import arrow_schema
from histo_ray.store.store import open_store
from histo_ray.store.tables import PIECES, TableFolder, open_evaluation

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

TABLES = ("predictions", "scores", "recalls", "summary", "comparisons", "folds")
FAST = TileHeadSettings("least-squares")
CLASSES = ("ADI", "LYM", "TUM")


def make_set(rows: int, seed: int, grouped: bool = False) -> EmbeddedSet:
    """Encoder `sharp` sees the classes better than `dull`."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(3, rows, p=[0.5, 0.3, 0.2])).astype(np.int32)
    means = np.random.default_rng(99).normal(size=(3, 12))
    vectors = {
        name: (means[labels] * signal + rng.normal(size=(rows, 12))).astype(np.float16)
        for name, signal in (("dull", 0.4), ("sharp", 1.0))
    }
    groups = tuple(f"p{n}" for n in rng.integers(0, 25, rows)) if grouped else None
    return EmbeddedSet(TileTruth(CLASSES, labels, groups), vectors)


def folds_of(tiles: EmbeddedSet, repeats: int = 4) -> Folds:
    names = [CLASSES[label] for label in tiles.truth.labels]
    return draw_folds(names, 5, repeats, 0, tiles.truth.groups)


def run_evaluation(
    folder: TableFolder,
    tiles: EmbeddedSet,
    folds: Folds,
    test: EmbeddedSet | None = None,
    report: Progress = lambda done, total: None,
    spread: Spread | None = None,
) -> TileResult:
    """Cross-validate made-up embeddings, which no store holds."""
    embedded = {CV: tiles} if test is None else {CV: tiles, TEST: test}
    for some in embedded.values():
        check_vectors(some)
    config = TissueConfig(tiles="made up", store="none", encoder=("dull", "sharp"))
    support = count_tile_support(tile_folds(folds.fold_ids, tiles.truth), tiles.truth.labels)
    plan = TissuePlan(config, {}, embedded, folds, FAST, support)
    pieces = folder.child(PIECES)
    run_job(make_tile_job(pieces, plan), spread or spread_on_ray("local"), report)
    return write_tile_tables(folder, pieces, plan)


def folder_in(path: Path) -> TableFolder:
    open_store(str(path / "store"), create=True)
    return open_evaluation(str(path / "store"), "tissue", "run")


def read_bytes(folder: TableFolder) -> dict[str, pd.DataFrame]:
    return {name: folder.read(name).to_pandas() for name in TABLES}


@pytest.fixture(scope="module")
def finished(
    shared_ray: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TableFolder, TileResult]:
    folder = folder_in(tmp_path_factory.mktemp("finished"))
    tiles = make_set(300, seed=0)
    outcome = run_evaluation(folder, tiles, folds_of(tiles), make_set(120, seed=1))
    return folder, outcome


def test_every_tile_is_predicted_once_a_repeat_by_each_encoder(
    finished: tuple[TableFolder, TileResult],
) -> None:
    folder, _ = finished
    table = folder.read("predictions")
    assert table.schema.equals(arrow_schema("tissue_predictions"))
    frame = table.to_pandas()
    cv = frame[frame["split"] == "cv"]
    assert len(cv) == 2 * 4 * 300
    assert not cv.duplicated(["encoder", "repeat", "tile_id"]).any()
    assert (frame["split"] == "test").sum() == 2 * 120
    merged = cv.merge(
        folder.read("folds").to_pandas().assign(tile_id=lambda f: f["item"].astype(int)),
        on=["tile_id", "repeat"],
    )
    assert (merged["fold_x"] == merged["fold_y"]).all()


def test_scores_are_those_of_the_predictions(finished: tuple[TableFolder, TileResult]) -> None:
    folder, _ = finished
    frame = folder.read("predictions").to_pandas()
    frame["right"] = frame["label"] == frame["predicted"]
    key = ["split", "encoder", "repeat", "fold"]
    accuracy = frame.groupby(key)["right"].mean()
    scores = folder.read("scores").to_pandas().set_index(key)
    assert len(scores) == 2 * 4 * 5 + 2
    pd.testing.assert_series_equal(
        scores["accuracy"].sort_index(), accuracy.sort_index(), check_names=False
    )
    recall = frame.groupby([*key, "label"])["right"].mean()
    recalls = folder.read("recalls").to_pandas().set_index([*key, "label"])["recall"]
    pd.testing.assert_series_equal(recalls.sort_index(), recall.sort_index(), check_names=False)
    assert set(scores.loc["cv"]["n_train"]) == {240}
    assert set(scores.loc["test"]["n_train"]) == {300}


def test_the_better_encoder_is_found_and_the_plain_test_is_surer(
    finished: tuple[TableFolder, TileResult],
) -> None:
    folder, _ = finished
    rows = folder.read("comparisons").to_pandas().set_index(["split", "metric", "label"])
    cv = rows.loc[("cv", "accuracy", "")]
    assert (cv["encoder_a"], cv["encoder_b"], cv["drawn"]) == ("dull", "sharp", "tile")
    assert cv["difference"] > cv["low"] > 0
    assert cv["p_plain"] < cv["p_corrected"] < 0.05
    test = rows.loc[("test", "accuracy", "")]
    assert test["low"] > 0
    assert np.isnan(test["p_corrected"])
    assert len(rows) == 2 * (2 + len(CLASSES))


def test_missing_pieces_alone_are_made_and_the_tables_are_the_same(
    finished: tuple[TableFolder, TileResult], tmp_path: Path
) -> None:
    folder, _ = finished
    tiles, test = make_set(300, seed=0), make_set(120, seed=1)
    again = folder_in(tmp_path)
    kept = folder.child(PIECES).names()[::2]
    for name in kept:
        piece = folder.child(PIECES).read(name.removesuffix(".parquet"))
        again.child(PIECES).write(name.removesuffix(".parquet"), [piece], piece.schema)
    files = Path(again.root.path) / again.folder / PIECES
    before = {name: (files / name).stat().st_mtime_ns for name in kept}
    counts: list[tuple[int, int]] = []
    run_evaluation(again, tiles, folds_of(tiles), test, report=lambda a, b: counts.append((a, b)))
    assert counts[0] == (len(kept), 10)
    assert counts[-1] == (10, 10)
    assert {name: (files / name).stat().st_mtime_ns for name in kept} == before
    ours, theirs = read_bytes(again), read_bytes(folder)
    for name in TABLES:
        pd.testing.assert_frame_equal(ours[name], theirs[name], check_exact=True)


DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_evaluate_tissue import folder_in, folds_of, make_set, run_evaluation
tiles = make_set(2000, seed=3)
run_evaluation(folder_in(Path(sys.argv[1])), tiles, folds_of(tiles, 40))
"""


@pytest.mark.slow
def test_a_killed_driver_costs_no_finished_repeat_and_changes_no_table(tmp_path: Path) -> None:
    here = Path(__file__).parent
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(here), str(here.parents[1])]
    )
    folder = folder_in(tmp_path)
    deadline = time.monotonic() + 120
    while len(folder.child(PIECES).names()) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    done = len(folder.child(PIECES).names())
    assert 5 <= done < 80
    tiles = make_set(2000, seed=3)
    counts: list[int] = []
    run_evaluation(folder, tiles, folds_of(tiles, 40), report=lambda a, b: counts.append(a))
    assert counts[0] >= done
    calm = folder_in(tmp_path / "calm")
    run_evaluation(calm, tiles, folds_of(tiles, 40))
    ours, theirs = read_bytes(folder), read_bytes(calm)
    for name in TABLES:
        pd.testing.assert_frame_equal(ours[name], theirs[name], check_exact=True)


def test_with_groups_the_bootstrap_draws_groups_and_folds_keep_them(tmp_path: Path) -> None:
    tiles = make_set(300, seed=5, grouped=True)
    folder = folder_in(tmp_path)
    run_evaluation(folder, tiles, folds_of(tiles, 2))
    assert set(folder.read("comparisons")["drawn"].to_pylist()) == {"group"}
    folds = folder.read("folds").to_pandas()
    assert (folds.groupby(["repeat", "group"])["fold"].nunique() == 1).all()


def test_embeddings_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tiles = make_set(60, seed=0)
    tiles.vectors["dull"][17, 3] = np.inf
    tiles.vectors["dull"][40, 0] = np.nan
    with pytest.raises(ConfigError, match=r"encoder dull: 2 embeddings .* tile_id 17"):
        run_evaluation(folder_in(tmp_path), tiles, folds_of(tiles))


def test_in_this_process_every_table_is_that_of_ray_to_the_last_bit(
    finished: tuple[TableFolder, TileResult], tmp_path: Path
) -> None:
    folder, _ = finished
    tiles = make_set(300, seed=0)
    here = folder_in(tmp_path)
    run_evaluation(here, tiles, folds_of(tiles), make_set(120, seed=1), spread=run_here)
    for name in TABLES:
        one, two = (
            (Path(some.root.path) / some.folder / f"{name}.parquet").read_bytes()
            for some in (here, folder)
        )
        assert one == two, name
