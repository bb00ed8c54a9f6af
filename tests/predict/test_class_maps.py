"""Classes of a slide's tiles by a fine-tuned encoder's own tissue head."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

import histo_ray as hr
from histo_ray.cli.main import main
from histo_ray.errors import ConfigError
from histo_ray.predict.files import publish_predictor
from histo_ray.schema import column_names
from histo_ray.store.store import Store, open_store
from histo_ray.tiles.masks import read_mask
from histo_ray.types import TileRows
from tests.made_up import card_of, facts_of
from tests.predict.made_predictor import make_class_predictor

CLASSES = ("ADI", "TUM: solid", "STR")
DIM, WIDE = 4, 7
WEIGHT = np.random.default_rng(2).normal(size=(3, DIM)).astype(np.float32)
BIAS = np.array([0.3, 0, -0.2], np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two slides of an encoder with a tissue head; tiles side by side, WIDE in a row."""
    store = open_store(str(tmp_path / "store"), create=True)
    data = save({"classification_head.weight": WEIGHT, "classification_head.bias": BIAS})
    model = Path(store.root.path) / "models/ft"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(data)
    about = {"file_sha256": hashlib.sha256(data).hexdigest(), "weights_sha256": "a" * 64}
    (model / "model.json").write_text(json.dumps(card_of("ft", CLASSES, **about)))
    for seed, slide in enumerate(("S1", "S2")):
        facts = facts_of(slide, "ft", dim=DIM)
        vectors = np.random.default_rng(seed).normal(size=(WIDE, DIM)).astype(np.float16)
        coords = np.array([[150 * n, 20] for n in range(WIDE)], np.int32)
        ones = np.ones(WIDE, np.float32)
        store.commit(facts.key, facts, [TileRows(coords, ones, ones, vectors)])
    return store


def test_each_tile_has_the_class_that_the_head_is_surest_of(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    command = ["heatmap", store.root.path, "--class-encoder", "ft", "--slide", "S1"]
    assert main([*command, "--out", str(out)]) == 1  # the slide's file is not there
    logits = store.bag("S1", "ft").embeddings.astype(np.float64) @ WEIGHT.T + BIAS
    powers = np.exp(logits)
    expected = powers / powers.sum(1, keepdims=True)
    table = pq.read_table(out / "S1.classes.parquet")
    assert table.schema.names == column_names("tile_classes")
    assert table["label"].to_pylist() == [CLASSES[n] for n in expected.argmax(1)]
    np.testing.assert_allclose(table["probability"], expected.max(1), atol=1e-6)
    shares = pq.read_table(out / "S1.classes.shares.parquet")
    assert shares["label"].to_pylist() == list(CLASSES)
    counts = np.bincount(expected.argmax(1), minlength=3)
    assert shares["n_tiles"].to_pylist() == counts.tolist()
    np.testing.assert_allclose(shares["share"], counts / WIDE)
    np.testing.assert_allclose(shares["mean_probability"], expected.mean(0), atol=1e-6)
    assert f"{counts[0] / WIDE:.1%}" in capsys.readouterr().out
    features = json.loads((out / "S1.classes.geojson").read_text())["features"]
    names = [feature["properties"]["classification"]["name"] for feature in features]
    assert names == [CLASSES[n].replace(":", "-") for n in expected.argmax(1)]
    for feature, row in zip(features, expected, strict=True):
        assert list(feature["properties"]["measurements"].values()) == pytest.approx(row, rel=1e-4)
    mask, _ = read_mask(str(out / "S1.classes.geojson"), (1200, 700), "S1", (names[0],))
    assert mask.pixels.any()
    assert {path.suffix for path in out.iterdir()} == {".parquet", ".png", ".geojson"}


def test_an_encoder_without_a_head_or_slides_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="encoder fx: no slides in store"):
        hr.heatmap(store.root.path, class_encoder="fx", slide="S1")
    facts = facts_of("S1", "plain", dim=DIM)
    ones = np.ones(1, np.float32)
    rows = TileRows(np.zeros((1, 2), np.int32), ones, ones, np.ones((1, DIM), np.float16))
    store.commit(facts.key, facts, [rows])
    with pytest.raises(ConfigError, match="encoder plain: the store holds no class head of it"):
        hr.heatmap(store.root.path, class_encoder="plain", slide="S1")
    with pytest.raises(ConfigError, match="--slide S9: not among the slides of ft"):
        hr.heatmap(store.root.path, class_encoder="ft", slide="S9")


def test_a_slide_that_is_not_there_is_told_before_another_one_is_written(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--slide S9: not among the slides of ft"):
        hr.heatmap(store.root.path, class_encoder="ft", slide=("S1", "S9"), out=tmp_path / "maps")
    assert not (tmp_path / "maps").exists()


def test_a_predictor_of_classes_is_shown_likewise(store: Store) -> None:
    made = make_class_predictor(CLASSES, DIM)
    encoder = made.card.encoder.model_copy(update={"name": "ft", "weights_sha256": "a" * 64})
    publish_predictor(
        store.root.path, made.card.model_copy(update={"encoder": encoder}), made.parts
    )
    (fit,) = (part.fit for part in made.parts.linear)
    result = hr.heatmap(store.root.path, predictor="tissue", slide=["S1", "S2"])
    expected = fit.predict(store.bag("S2", "ft").embeddings.astype(np.float32))
    own = result.tiles[result.tiles["slide_id"] == "S2"]
    assert own["label"].tolist() == [CLASSES[n] for n in expected.argmax(1)]
    np.testing.assert_allclose(own["probability"], expected.max(1), atol=1e-6)
    assert [record.source for record in result.records] == ["tissue", "tissue"]
