"""Overlays of published predictors: computed as heat maps are, and never for known patients."""

from pathlib import Path

import numpy as np
import pytest

import histo_ray as hr
from histo_ray.errors import ConfigError
from histo_ray.predict.external.apply import predict
from histo_ray.predict.files import load_predictor, publish_predictor
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.types import PartitionKey
from histo_ray.view.overlays import Overlays
from histo_ray.view.predictor_sources import MOST_TARGETS, PredictorSource
from histo_ray.view.score_sources import PredictionSource
from histo_ray.view.view_settings import ViewConfig
from histo_ray.view.viewed_store import ViewedSlide, ViewedStore
from tests.predict.external_store import TILING, write_external
from tests.predict.made_predictor import make_class_predictor, make_predictor

CLASSES = ("ADI", "STR", "TUM")
COLUMNS = ("contribution", "score", "weight")


def publish(store: str, made: FittedPredictor) -> None:
    publish_predictor(store, made.card, made.parts)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Patients that no predictor knows, one of two slides, and one of the training patients."""
    folder = tmp_path_factory.mktemp("predictors")
    root = write_external(folder / "store", ("B00", "B01", "P3"))
    publish(root, make_predictor("genes", mil=True))
    publish(root, make_class_predictor(CLASSES))
    return root


def open_slide(store: str, slide_id: str, **changes: object) -> tuple[Overlays, ViewedSlide]:
    viewed = ViewedStore(ViewConfig.model_validate({"store": store, **changes}))
    return Overlays(viewed), viewed.load(PartitionKey("sharp", TILING, slide_id))


def looks(store: str) -> dict[str, tuple[int, int]]:
    files = (path for path in Path(store).rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_contributions_and_attention_are_those_of_heat_maps_and_nothing_is_written(
    store: str,
) -> None:
    before = looks(store)
    overlays, slide = open_slide(store, "B00-1")  # the second slide of its patient
    shown = {column: overlays.read(slide, f"ALPHA: {column} (genes)") for column in COLUMNS}
    attention = overlays.read(slide, "BETA: attention (genes)")
    assert looks(store) == before
    for target in ("ALPHA", "BETA"):
        drawn = hr.heatmap(store, predictor="genes", target=[target], slide=["B00-1"])
        truth, (record,) = drawn.tiles, drawn.records
        assert len(truth) == len(slide.rows) > 1
        if target == "BETA":
            np.testing.assert_allclose(attention.values, truth["weight"], rtol=1e-6)
            continue
        for column in COLUMNS:
            np.testing.assert_allclose(shown[column].values, truth[column], rtol=1e-6)
        assert shown["score"].neutral == record.neutral
        assert record.predicted is not None
        assert f"it predicts {record.predicted:.3g} of the patient" in shown["score"].note
    assert attention.neutral is None
    assert "BETA: weight (genes)" not in overlays.names(slide)


def test_a_patient_that_a_predictor_was_fitted_on_is_left_to_out_of_fold_heads(store: str) -> None:
    overlays, slide = open_slide(store, "P3-0")
    name = "ALPHA: contribution (genes)"
    assert name in overlays.names(slide)
    command = rf"histo-ray heatmap {store} --predictor genes --target ALPHA --slide P3-0"
    with pytest.raises(ConfigError, match=f"patient P3: predictor genes was fitted.*{command}"):
        overlays.read(slide, name)


def test_classes_of_tiles_are_mapped_by_a_predictor_and_from_stored_predictions(
    store: str,
) -> None:
    predictor = load_predictor("tissue", store)
    overlays, slide = open_slide(store, "B01-0")
    found = overlays.read(slide, "class map of tissue")
    scores = predictor.predict_tiles(slide.read_vectors().astype(np.float32))
    assert found.classes == CLASSES
    assert found.values.tolist() == scores.argmax(1).tolist()
    shares = overlays.read(slide, "probability of TUM (tissue)").values
    np.testing.assert_allclose(shares, scores[:, 2], atol=1e-6)
    assert PredictionSource(slide.root).names(slide) == []
    predict(predictor, store, tiles=True)
    stored = PredictionSource(slide.root)
    assert stored.names(slide) == ["class map of tissue"]
    again = stored.read(slide, "class map of tissue")
    names = [again.classes[int(value)] for value in again.values]
    assert names == [CLASSES[at] for at in scores.argmax(1)]


def test_predictors_of_other_stores_and_of_chosen_targets_are_offered(
    store: str, tmp_path: Path
) -> None:
    root = write_external(tmp_path / "store", ("B01",))
    folder = f"{store}/predictors/genes"
    overlays, slide = open_slide(root, "B01-0", predictor=(folder,), target=("BETA",))
    offered = [name for name in overlays.names(slide) if "(genes)" in name]
    assert offered == [f"BETA: {word} (genes)" for word in ("contribution", "score", "attention")]
    assert np.isfinite(overlays.read(slide, offered[0]).values).all()
    with pytest.raises(ConfigError, match=r"--target BETTA: no predictor predicts it.*BETA"):
        open_slide(root, "B01-0", predictor=(folder,), target=("BETTA",))
    with pytest.raises(ConfigError, match="nope"):
        open_slide(root, "B01-0", predictor=("nope",))


def test_other_weights_are_offered_nothing_and_a_damaged_card_is_told(tmp_path: Path) -> None:
    root = write_external(tmp_path / "store", ("B01",), weights="cd" * 32)
    publish(root, make_predictor("genes"))
    card = Path(root, "predictors/genes/predictor.json")
    overlays, slide = open_slide(root, "B01-0")
    assert not [name for name in overlays.names(slide) if "genes" in name]
    card.write_text(card.read_text().replace("ALPHA", "GAMMA"))
    viewed = ViewedStore(ViewConfig(store=root))
    assert PredictorSource(viewed).names(slide) == []
    assert any("genes" in problem for problem in viewed.problems)


def test_of_many_targets_those_predicted_best_are_offered(store: str, tmp_path: Path) -> None:
    root = write_external(tmp_path / "store", ("B01",))
    made = make_predictor("many")
    scores = [None, *np.linspace(0.5, 0.9, 20).tolist()]
    targets = tuple(
        made.card.targets[0].model_copy(update={"name": f"G{at}", "score": score})
        for at, score in enumerate(scores)
    )
    publish(root, FittedPredictor(made.card.model_copy(update={"targets": targets}), made.parts))
    overlays, slide = open_slide(root, "B01-0")
    offered = {name.partition(":")[0] for name in overlays.names(slide) if "(many)" in name}
    assert offered == {f"G{at}" for at in range(21 - MOST_TARGETS, 21)}


def test_tiles_that_a_predictor_was_not_fitted_on_have_no_numbers(tmp_path: Path) -> None:
    root = write_external(tmp_path / "store", ("B00", "B01"))
    for made in (make_predictor("genes"), make_class_predictor(CLASSES)):
        card = made.card.model_copy(update={"where": "tile_id > 1"})
        publish(root, FittedPredictor(card, made.parts))
    overlays, slide = open_slide(root, "B01-0")
    for name in ("ALPHA: contribution (genes)", "class map of tissue"):
        values = overlays.read(slide, name).values
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2:]).all()
    truth = hr.heatmap(root, predictor="genes", target=["ALPHA"], slide=["B01-0"]).tiles
    found = overlays.read(slide, "ALPHA: contribution (genes)").values
    np.testing.assert_allclose(found[2:], truth["contribution"], rtol=1e-6)
    overlays, short = open_slide(root, "B00-1")  # of two tiles
    assert len(short.rows) == 2
    with pytest.raises(ConfigError, match="slide B00-1: none of 2 tiles tile_id > 1"):
        overlays.read(short, "ALPHA: contribution (genes)")
