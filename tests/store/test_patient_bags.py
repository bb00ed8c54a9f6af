from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from histo_ray.errors import StoreError
from histo_ray.store.partition import join_rows
from histo_ray.store.store import Store
from histo_ray.types import TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
SLIDES = {
    "S1": ("PB", "AA", 90), "S2": ("PA", "", 7), "S3": ("PA", "BB", 0), "S4": ("PB", "BB", 41),
    "S5": ("PC", "", 0),
}  # fmt: skip


@pytest.fixture
def filled(store: Store, make_facts: MakeFacts, make_rows: MakeRows) -> Store:
    for number, (slide, (patient, site, count)) in enumerate(SLIDES.items()):
        for encoder, dim in (("e", 5), ("ft", 9)):
            reason = "" if count else "no tissue"
            facts = make_facts(
                slide, encoder, dim=dim, patient_id=patient, site=site, empty_reason=reason
            )
            form: Any = "zarr" if slide == "S4" else "parquet"
            store.commit(facts.key, facts, make_rows(count, dim, seed=number), format=form)
    return store


def tiles_of(make_rows: MakeRows, *slides: str, dim: int = 5) -> Any:
    seeds = {slide: number for number, slide in enumerate(SLIDES)}
    blocks = [rows for s in slides for rows in make_rows(SLIDES[s][2], dim, seed=seeds[s])]
    return join_rows(blocks).embeddings


def test_each_patient_has_a_row(filled: Store) -> None:
    frame = filled.patients("e")
    assert frame.to_dict("records") == [
        {"patient_id": "PA", "slides": 1, "tiles": 7, "sites": ("BB",), "slide_ids": ("S2",)},
        {
            "patient_id": "PB", "slides": 2, "tiles": 131, "sites": ("AA", "BB"),
            "slide_ids": ("S1", "S4"),
        },
        {"patient_id": "PC", "slides": 0, "tiles": 0, "sites": (), "slide_ids": ()},
    ]  # fmt: skip
    with pytest.raises(StoreError, match="encoder other is not in the store"):
        filled.patients("other")


@pytest.mark.parametrize("asked", [{}, {"tiling": "abc123", "slide_ids": ["S4", "S1"]}])
def test_a_patients_bag_is_all_tiles_of_all_slides(
    filled: Store, make_rows: MakeRows, asked: Any
) -> None:
    bag = filled.patient_bag("PB", "e", **asked)
    assert bag.dtype == np.float16
    np.testing.assert_array_equal(bag, tiles_of(make_rows, "S1", "S4"))


def test_drawn_tiles_are_some_of_them_and_the_same_for_each_encoder(
    filled: Store, make_rows: MakeRows
) -> None:
    places = {}
    for encoder, dim in (("e", 5), ("ft", 9)):
        whole = tiles_of(make_rows, "S1", "S4", dim=dim)
        drawn = filled.patient_bag("PB", encoder, most=30, seed=4)
        found = [np.flatnonzero((whole == row).all(axis=1)) for row in drawn]
        assert {len(rows) for rows in found} == {1}
        places[encoder] = np.concatenate(found).tolist()
    wanted = np.sort(np.random.default_rng(4).choice(131, 30, replace=False)).tolist()
    assert places == {"e": wanted, "ft": wanted}
    assert wanted[0] < 90 < wanted[-1]  # from both slides
    assert not np.array_equal(drawn, filled.patient_bag("PB", "ft", most=30, seed=5))


@pytest.mark.parametrize("most", [131, 132, None])
def test_no_more_are_drawn_than_there_are(filled: Store, most: int | None) -> None:
    assert len(filled.patient_bag("PB", "e", most=most)) == 131


def test_some_slides_alone_make_a_bag(filled: Store, make_rows: MakeRows) -> None:
    bag = filled.patient_bag("PB", "e", slide_ids=["S4"])
    np.testing.assert_array_equal(bag, tiles_of(make_rows, "S4"))


@pytest.mark.parametrize("patient", ["PC", "PX"])
def test_a_patient_without_tiles_has_no_bag(filled: Store, patient: str) -> None:
    with pytest.raises(
        StoreError, match=f"patient '{patient}' of encoder e: the store holds no tiles"
    ):
        filled.patient_bag(patient, "e")
