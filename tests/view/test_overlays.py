"""Overlays have the numbers of the store, of score files and of heads."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from histo_ray.errors import ConfigError
from histo_ray.pooling.class_weights import ClassHead
from histo_ray.store.store import open_store
from histo_ray.types import PartitionKey
from histo_ray.view.components import project_tiles
from histo_ray.view.overlays import Overlays
from histo_ray.view.slide_map import choose_colours, fit_range
from histo_ray.view.tile_numbers import TileNumbers, as_classes
from histo_ray.view.view_settings import ViewConfig
from histo_ray.view.viewed_store import ViewedStore
from tests.view.conftest import DIM

MakeView = Callable[..., ViewConfig]


def test_columns_components_and_score_files_are_offered_and_read(
    make_config: MakeView, key: PartitionKey, scores: Path
) -> None:
    store = ViewedStore(make_config(scores=(str(scores),)))
    overlays, slide = Overlays(store), store.load(key)
    names = overlays.names(slide)
    assert names[:2] == ["focus", "tissue"]
    assert "principal component 3" in names
    np.testing.assert_array_equal(overlays.read(slide, "tissue").values, slide.rows.tissue)
    name = "KRAS: contribution (run-1, e)"
    found = overlays.read(slide, name)
    np.testing.assert_allclose(found.values, np.linspace(-2, 1, len(slide.rows)))
    assert found.neutral == -1.0
    assert "out-of-fold" in found.note
    assert overlays.read(slide, "KRAS: weight (run-1, e)").neutral is None
    other = store.load(store.choose_key("good-b"))
    assert name not in overlays.names(other)


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    rng = np.random.default_rng(5)
    vectors = (rng.standard_normal((300, 4)) * [9, 4, 1, 0.5] + 3).astype(np.float32)
    scores = project_tiles(vectors, 2)
    left = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[0]
    for at in (0, 1):
        assert abs(np.corrcoef(scores[:, at], left[:, at])[0, 1]) > 0.9999
    np.testing.assert_allclose(scores.std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-3)
    vectors[7, 2] = np.nan
    vectors[8, 0] = np.inf
    again = project_tiles(vectors, 2)
    assert np.isnan(again[[7, 8]]).all()
    assert np.isfinite(np.delete(again, [7, 8], axis=0)).all()


def test_colours_reach_over_the_middle_of_the_numbers_and_name_classes() -> None:
    values = np.append(np.linspace(0, 100, 1001), [1e9, np.nan])
    assert fit_range(TileNumbers(values)) == pytest.approx((2, 98), abs=0.5)
    low, high = fit_range(TileNumbers(np.array([-3.0, 1.0]), neutral=-1.0))
    assert (low + high) / 2 == -1
    assert fit_range(TileNumbers(np.full(5, np.nan))) == (0.0, 1.0)
    same = fit_range(TileNumbers(np.full(5, 3.0)))
    assert same[0] < 3 < same[1]
    classes = as_classes(np.array(["b", "a", "b"]))
    assert (classes.classes, classes.values.tolist()) == (("a", "b"), [1.0, 0.0, 1.0])
    assert fit_range(classes) == (-0.5, 1.5)
    assert len(choose_colours(classes)) == 2


def test_scores_that_are_not_there_are_refused_with_a_sentence(
    make_config: MakeView, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"--scores .*nothing is there"):
        Overlays(ViewedStore(make_config(scores=(str(tmp_path / "no"),))))
    with pytest.raises(ConfigError, match="no tile scores there"):
        Overlays(ViewedStore(make_config(scores=(str(tmp_path),))))


def test_a_slide_that_the_store_lacks_is_named_with_those_it_has(make_config: MakeView) -> None:
    store = ViewedStore(make_config())
    with pytest.raises(ConfigError, match=r"slide 'good' has no tiles.*good-a"):
        store.choose_key("good")
    with pytest.raises(ConfigError, match="no tiles of encoder 'x'"):
        store.choose_key("good-a", "x")
    assert open_store(str(store.root.path)).list_keys("e")


def test_a_fine_tuned_encoders_head_gives_classes_and_probabilities(
    make_config: MakeView, key: PartitionKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = SimpleNamespace(name="e", classes=("gland", "stroma", "tumour"))
    weight = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3]], np.float32)
    weight = np.pad(weight, ((0, 0), (0, DIM - 3)))
    head = ClassHead(card.classes, weight, np.zeros(3, np.float32))
    room = "histo_ray.view.overlay_sources"
    monkeypatch.setattr(f"{room}.list_names", lambda root: ["e"])
    monkeypatch.setattr(f"{room}.read_card", lambda root, name: card)
    monkeypatch.setattr(f"{room}.read_class_head", lambda root, card: head)
    store = ViewedStore(make_config())
    overlays, slide = Overlays(store), store.load(key)
    vectors = slide.read_vectors().astype(float)
    found = overlays.read(slide, "class map")
    assert found.classes == card.classes
    assert found.values.tolist() == vectors[:, :3].argmax(axis=1).tolist()
    shares = np.exp(3 * vectors[:, :3])
    expected = shares[:, 2] / shares.sum(axis=1)
    tumour = overlays.read(slide, "probability of tumour").values
    np.testing.assert_allclose(tumour, expected, rtol=1e-4)
