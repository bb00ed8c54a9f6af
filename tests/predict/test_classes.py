import dataclasses
from pathlib import Path

import numpy as np
import pytest

from histo_ray.errors import ConfigError, StoreError
from histo_ray.learn.fold_data import measure_scale
from histo_ray.learn.heads.linear_fit import LinearFit, Link
from histo_ray.learn.heads.registry import TrainsOn
from histo_ray.predict.external.apply import predict
from histo_ray.predict.predictor import FittedPredictor, LinearPart, PredictorParts
from histo_ray.schema import column_names
from tests.predict.external_store import COUNT, PEOPLE, write_external, write_labels
from tests.predict.made_predictor import DIM, make_bags, make_predictor

CLASSES = ("ADI", "LYM", "TUM")
BAGS = make_bags(COUNT, seed=8)


@pytest.fixture(scope="module")
def predictor() -> FittedPredictor:
    """Classes of tiles by the signs of the first two features."""
    made = make_predictor("tissue")
    tiles = np.concatenate([bag.astype(np.float64) for bag in make_bags()])
    weights = np.zeros((DIM, 3))
    weights[:2] = [[2, -2, 0], [0, 2, -2]]
    nothing = np.full(3, np.nan)
    fit = LinearFit(
        CLASSES, measure_scale(tiles), weights, np.zeros(3), Link.SOFTMAX, nothing, nothing
    )
    parts = PredictorParts((LinearPart("", "logistic", fit),), (), made.parts.label_scale, None)
    tiling = made.card.tiling.model_copy(
        update={"fingerprint": "x0123456789a", "settings": {"tile_px": 64, "mpp": 0.5}}
    )
    card = made.card.model_copy(
        update={
            "task": "tissue", "kind": "classes", "tiling": tiling,
            "targets": tuple(
                made.card.targets[0].model_copy(update={"name": name, "thresholds": ()})
                for name in CLASSES
            ),
            "parts": (
                made.card.parts[0].model_copy(
                    update={"trains_on": TrainsOn.TILES, "pooling": "", "targets": CLASSES}
                ),
            ),
        }
    )  # fmt: skip
    return FittedPredictor(card, parts)


def test_every_slide_has_the_share_of_each_class(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    store = write_external(tmp_path / "B")
    found = predict(predictor, store, tiles=True)
    shares, tiles = found.shares, found.tiles
    assert list(shares) == column_names("predicted_shares")
    assert list(tiles) == column_names("predicted_classes")
    assert len(tiles) == sum(map(len, BAGS)) == found.record.n_tiles
    assert len(shares) == 3 * tiles.slide_id.nunique()
    slide = f"{PEOPLE[1]}-0"
    scores = predictor.predict_tiles(BAGS[1])
    own = tiles[tiles.slide_id == slide]
    assert own.label.tolist() == [CLASSES[at] for at in scores.argmax(1)]
    np.testing.assert_allclose(own.probability, scores.max(1), atol=1e-6)
    assert own.tile_id.tolist() == list(range(len(BAGS[1])))
    counted = shares[shares.slide_id == slide].set_index("label")
    assert counted.n_tiles.to_dict() == {
        name: int((scores.argmax(1) == at).sum()) for at, name in enumerate(CLASSES)
    }
    assert counted.share.sum() == pytest.approx(1)
    assert set(counted.patient_id) == {PEOPLE[1]}
    outside = predictor.parts.linear[0].fit.scale.share_outside(BAGS[1])
    np.testing.assert_allclose(own.outside, outside, atol=1e-6)
    assert found.record.outside is None
    lean = predict(predictor, store)
    assert lean.shares.equals(shares)
    with pytest.raises(ConfigError, match="ask for it with tiles=True"):
        _ = lean.tiles


def test_tiles_of_another_size_are_refused_and_labels_are_of_patients(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    other = write_external(tmp_path / "other", PEOPLE[:2], BAGS[:2], mpp="1.0")
    with pytest.raises(StoreError, match=r"64 px at 1 mpp.*labelled tiles of 64 px at 0.5 mpp"):
        predict(predictor, other)
    store = write_external(tmp_path / "B", PEOPLE[:6], BAGS[:6])
    labels = write_labels(tmp_path / "b.csv", PEOPLE[:6], BAGS[:6])
    with pytest.raises(ConfigError, match="says the class of tiles, and labels are of patients"):
        predict(predictor, store, labels=labels)
    write_external(tmp_path / "B", PEOPLE[:6], BAGS[:6], tiling="t999999999999")
    with pytest.raises(ConfigError, match="several tilings fit predictor tissue; name one with"):
        predict(predictor, store)
    assert predict(predictor, store, tiling="t9999").record.tiling == "t999999999999"
    untold = dataclasses.replace(
        predictor,
        card=predictor.card.model_copy(
            update={"tiling": predictor.card.tiling.model_copy(update={"settings": {}})}
        ),
    )
    assert predict(untold, other).record.slides == 3
