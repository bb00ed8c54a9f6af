import dataclasses
from pathlib import Path
from typing import Any

import pytest

from histo_ray.cli import main
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.expression import ExpressionConfig
from histo_ray.store.store import Store, open_store
from histo_ray.store.tilings import describe_tilings, find_tiling, one_of_each_tiling
from histo_ray.types import PartitionKey, Receipt
from tests.made_up import facts_of, rows_of

Receipts = dict[PartitionKey, Receipt]


def commit(store: Store, tiling: str, slide: str = "S1", tissue: str = "otsu", **said: Any) -> None:
    facts = facts_of(slide, tiling=tiling)
    settings = {"tile_px": 224, "mpp": 0.5, "stain": "none"} | said
    about = facts.tiling.model_copy(update={"settings": settings, "tissue_method": tissue})
    facts = dataclasses.replace(facts, tiling=about)
    store.commit(facts.key, facts, rows_of(3))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = open_store(str(tmp_path / "store"), create=True)
    commit(made, "t4aaa")
    commit(made, "t4aaa", "S2")
    commit(made, "t4bbb", tissue="none", mpp=1.0)
    commit(made, "t9ccc", stain="macenko", mpp=0.25)
    return made


@pytest.fixture
def receipts(store: Store) -> Receipts:
    keys = one_of_each_tiling(store.list_keys())
    assert [key.tiling for key in keys] == ["t4aaa", "t4bbb", "t9ccc"]
    return store.receipts(keys)


def test_tilings_are_told_by_size_mpp_and_what_differs(receipts: Receipts) -> None:
    assert describe_tilings(receipts) == (
        "t4aaa (224 px at 0.5 mpp, stain none, tissue otsu), "
        "t4bbb (224 px at 1 mpp, stain none, tissue none), "
        "t9ccc (224 px at 0.25 mpp, stain macenko, tissue otsu)"
    )
    few = {key: said for key, said in receipts.items() if key.tiling == "t9ccc"}
    assert describe_tilings(few) == "t9ccc (224 px at 0.25 mpp)"


def test_tilings_of_the_same_settings_are_told_by_version_and_day(store: Store) -> None:
    commit(store, "t5ddd")
    told = describe_tilings(
        store.receipts([PartitionKey("e", name, "S1") for name in ("t4aaa", "t5ddd")])
    )
    first, second = told.split("), ")
    assert first.startswith("t4aaa (224 px at 0.5 mpp, by histo_ray ")
    assert second.startswith("t5ddd (224 px at 0.5 mpp, by histo_ray ")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("t4bbb", "t4bbb"), ("t9", "t9ccc"), ("t4b", "t4bbb"), ("0.5", "t4aaa"), ("0.50", "t4aaa"),
        ("1", "t4bbb"), ("0.25", "t9ccc"), ("t4", "t4"), ("2", "2"), ("", ""), ("nan", "nan"),
    ],
)  # fmt: skip
def test_a_tiling_is_found_by_its_beginning_or_mpp(
    receipts: Receipts, asked: str, found: str
) -> None:
    assert find_tiling(asked, receipts) == found


def test_evaluate_lists_what_there_is_to_choose_from(store: Store, tmp_path: Path) -> None:
    from histo_ray.evaluate.patients.patient_cohort import (
        find_slides,  # Ray takes seconds to import
    )

    given: dict[str, Any] = {"store": str(tmp_path / "store"), "encoder": ("e",), "labels": "-"}
    with pytest.raises(
        ConfigError, match=r"name one with --tiling, .*: t4aaa \(224 px at 0\.5 mpp, "
    ):
        find_slides(store, ExpressionConfig(**given))
    with pytest.raises(ConfigError, match=r"in tiling 3 in store .*; its tilings are t4aaa \(224"):
        find_slides(store, ExpressionConfig(**given, tiling="3"))
    (slides,) = find_slides(store, ExpressionConfig(**given, tiling="0.5"))
    assert (slides.tiling, sorted(slides.receipts)) == ("t4aaa", ["S1", "S2"])


def test_store_ls_says_what_the_tilings_are(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "ls", str(tmp_path / "store")]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith("tilings of slides: t4aaa (224 px at 0.5 mpp, stain none, tissue otsu)")
