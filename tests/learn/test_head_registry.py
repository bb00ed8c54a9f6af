"""The contract of every head in the registry: tiles, and patients' vectors."""

import pytest

from histo_ray.errors import ConfigError
from histo_ray.learn.heads import registry
from histo_ray.learn.heads.registry import (
    HEADS,
    HeadEntry,
    TrainsOn,
    check_head,
    head_names,
    load_tile_head,
)
from histo_ray.types import TargetKind
from tests.learn.head_contract import PatientHeadContract, TileHeadContract

TILE_HEADS = [entry.name for entry in HEADS if entry.trains_on is TrainsOn.TILES]
PATIENT_HEADS = [entry for entry in HEADS if entry.trains_on is TrainsOn.PATIENTS]


@pytest.mark.parametrize("name", TILE_HEADS)
class TestTileHeads(TileHeadContract):
    @pytest.fixture(autouse=True)
    def _choose(self, name: str) -> None:
        self.name = name


@pytest.mark.parametrize("entry", PATIENT_HEADS, ids=lambda entry: entry.name)
class TestPatientHeads(PatientHeadContract):
    @pytest.fixture(autouse=True)
    def _choose(self, entry: HeadEntry) -> None:
        self.name, (self.kind, *_) = entry.name, entry.kinds


def test_heads_are_offered_by_what_they_train_on_and_predict() -> None:
    both = (TrainsOn.PATIENTS, TrainsOn.BAGS)
    assert head_names(TrainsOn.TILES) == ("logistic", "svm", "knn")
    assert head_names(*both, kind=TargetKind.CONTINUOUS) == ("ridge", "pls", "elastic-net", "mil")
    assert head_names(*both, kind=TargetKind.BINARY) == ("logistic", "mil")


def test_an_unknown_head_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"must be logistic, svm or knn; did you mean logistic\?"):
        check_head("logistics", TrainsOn.TILES)
    with pytest.raises(ConfigError, match="there is no head 'ridge' of tiles, but logistic"):
        load_tile_head("ridge")


def test_a_head_that_is_added_is_offered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = HeadEntry("toy", TrainsOn.TILES, (), "histo_ray.learn.heads.tile_knn")
    monkeypatch.setattr(registry, "HEADS", (*HEADS, toy))
    assert check_head("toy", TrainsOn.TILES) == "toy"
    assert load_tile_head("toy").choices
