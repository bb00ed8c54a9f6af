"""Checklists of stores of any age, and of external validations."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from histo_ray.errors import ConfigError, StoreError
from histo_ray.report.checklist.sheet import ItemState, Study, fill_sheet
from histo_ray.report.checklist.tripod_items import BOTH, DEVELOPMENT, EVALUATION, ITEMS
from histo_ray.report.checklist.write_checklist import write_checklist
from histo_ray.report.page import write_report


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, evaluations: SimpleNamespace) -> Path:
    """A store of a version that had no tables of subgroups, sites and calibration."""
    store: Path = evaluations.new_store(tmp_path_factory.mktemp("old") / "store")
    evaluations.add_outcome(store, "mutation", ["a", "b"], ["TP53", "KRAS", "EGFR"])
    return store


def test_it_has_the_items_of_the_statement() -> None:
    numbers = [item.number for item in ITEMS]
    assert len(set(numbers)) == 52
    assert len({number.rstrip("abcdefg") for number in numbers}) == 27
    assert numbers.index("12g") + 1 == numbers.index("13")
    kinds = {item.number: item.applies for item in ITEMS}
    assert [n for n, kind in kinds.items() if kind == EVALUATION] == ["12f", "12g", "20c", "24"]
    assert [n for n, kind in kinds.items() if kind == DEVELOPMENT] == [
        "9a", "12a", "12b", "12c", "15", "22", "27a", "27b",
    ]  # fmt: skip
    assert set(kinds.values()) == {BOTH, EVALUATION, DEVELOPMENT}


def test_facts_that_studies_share_are_said_once() -> None:
    one = Study("Mutation", "m-1", DEVELOPMENT, {"12a": ["five folds"], "10": ["60", "A 5"]})
    other = Study("Expression", "e-1", DEVELOPMENT, {"12a": ["five folds"], "10": ["60"]})
    rows = {row.item.number: row for row in fill_sheet("t", [one, other]).rows}
    assert rows["12a"].facts == ("five folds",)
    assert rows["10"].facts == ("60", "Mutation: A 5")
    twins = [one, Study("Mutation", "m-2", DEVELOPMENT, {"10": ["7"]})]
    told = {row.item.number: row for row in fill_sheet("t", twins).rows}
    assert told["10"].facts == ("Mutation, m-1: 60", "Mutation, m-1: A 5", "Mutation, m-2: 7")


def test_an_evaluation_alone_leaves_out_the_items_of_a_development() -> None:
    sheet = fill_sheet("t", [Study("predictor x", "v-1", EVALUATION, {"12g": ["by predict"]})])
    rows = {row.item.number: row for row in sheet.rows}
    assert rows["12a"].state is ItemState.NOT_APPLICABLE
    assert (rows["12g"].state, rows["12g"].facts) == (ItemState.FILLED, ("by predict",))
    assert rows["24"].state is ItemState.GAP
    assert rows["24"].question


def test_a_store_of_an_older_version_has_a_page_and_a_sheet(old: Path, tmp_path: Path) -> None:
    page = write_report(str(old), tmp_path / "page.html").read_text()
    assert ">By site and subgroup</h2>" not in page
    made = write_checklist(str(old), tmp_path / "page.html")
    rows = {row.item.number: row for row in made.sheet.rows}
    assert "60 patients" in rows["10"].facts[0]
    assert rows["23b"].state is ItemState.GAP
    assert "TP53" in " ".join(rows["23a"].facts)
    assert made.page.read_text().startswith("<!DOCTYPE html>")


def test_what_cannot_be_is_refused(old: Path, tmp_path: Path, evaluations: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="--checklist stard: must be tripod-ai"):
        write_checklist(str(old), tmp_path / "page.html", checklist="stard")
    tiles = evaluations.new_store(tmp_path / "tiles")
    evaluations.add_tissue(tiles, ["a", "b"])
    with pytest.raises(StoreError, match="no evaluation of patients"):
        write_checklist(str(tiles), tmp_path / "page.html")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_checklist(str(old), "/proc/nowhere/page.html")


def test_text_of_others_is_escaped(tmp_path: Path, evaluations: SimpleNamespace) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "mutation", ["<b>a</b>"], ["<script>x</script>", "KRAS", "E"])
    page = write_checklist(str(store), tmp_path / "page.html").page.read_text()
    assert "<script>" not in page
    assert "&lt;b&gt;a" in page
