"""The registry of poolings: each member keeps the contract, and its names are read."""

from pathlib import Path

import numpy as np
import pytest

from histo_ray.errors import ConfigError
from histo_ray.pooling import registry as poolings
from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod
from histo_ray.pooling.feature_store import FeatureStore
from histo_ray.pooling.methods.class_mean import ClassMeanPooling
from histo_ray.pooling.registry import POOLINGS, parse_pooling
from tests.made_up import facts_of, rows_of
from tests.pooling.pooling_contract import PoolingContract

TEXTS: dict[type[PoolingMethod], tuple[str, ...]] = {
    ClassMeanPooling: ("class:TUM", "class: TUM,STR,TUM"),
}
"""Names of poolings that take arguments; the others have one name."""


@pytest.fixture(params=POOLINGS, ids=lambda kind: kind.usage)
def _member(request: pytest.FixtureRequest) -> type[PoolingMethod]:
    kind: type[PoolingMethod] = request.param
    return kind


class TestEveryPooling(PoolingContract):
    """Each member of the registry."""

    @pytest.fixture(autouse=True)
    def _texts(self, _member: type[PoolingMethod]) -> None:
        self.texts = TEXTS.get(_member, (_member.usage,))


class ExtremesPooling(PoolingMethod):
    """A pooling that nobody has: the largest value and the smallest, side by side."""

    usage = "extremes"

    def width(self, dim: int, classes: int) -> int:
        return 2 * dim

    def pool(self, tiles: GroupTiles) -> Pooled:
        vectors = np.concatenate([piece.vectors for piece in tiles.read_pieces()])
        return Pooled(np.concatenate([vectors.max(axis=0), vectors.min(axis=0)]))


class TestAPoolingOfItsOwn(PoolingContract):
    """One class and one line in the registry are enough, from the contract to the store."""

    texts = ("extremes",)

    @pytest.fixture(autouse=True)
    def _registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(poolings, "POOLINGS", [*POOLINGS, ExtremesPooling])

    def test_a_store_pools_and_caches_by_it(self, store: FeatureStore, tmp_path: Path) -> None:
        facts = facts_of("S1")
        store.commit(facts.key, facts, rows_of(90))
        frame = store.matrix("e", pool="extremes")
        vectors = store.bag("S1", "e").embeddings
        expected = np.concatenate([vectors.max(axis=0), vectors.min(axis=0)]).astype(np.float32)
        np.testing.assert_array_equal(frame.loc["S1"], expected)
        assert len(list((tmp_path / "store/cache/matrix").iterdir())) == 1
        assert store.matrix("e", pool="extremes").equals(frame)


def test_an_unknown_pooling_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'sum' is unknown; choose one of mean, std, mean\+std"):
        parse_pooling("sum")


def test_names_of_poolings_stay() -> None:
    """Cached tables and settings of runs hold them."""
    assert [kind.usage for kind in POOLINGS] == [
        "mean", "std", "mean+std", "max", "median", "quantiles", "tissue",
        "class:NAME[,NAME...]", "classes",
    ]  # fmt: skip


def test_classes_of_a_pooling_are_sorted_and_taken_once() -> None:
    method = parse_pooling("class: TUM,STR,TUM")
    assert method.name == "class:STR,TUM"
    assert method == parse_pooling("class:STR,TUM")
    assert method != parse_pooling("class:STR")


@pytest.mark.parametrize("text", ["class", "class:", "class:TUM,", "Mean", "", "quantile"])
def test_half_a_name_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"choose one of mean, .* class:NAME\[,NAME\.\.\.\], classes"
    ):
        parse_pooling(text)


def test_each_pooling_knows_its_width() -> None:
    widths = {"mean": 7, "mean+std": 14, "quantiles": 21, "class:A": 7, "classes": 63}
    for text, width in widths.items():
        assert parse_pooling(text).width(7, 9) == width
