"""Slides that no receipt tells of, and slides that are nobody's tissue: no Ray, a store on disk."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from histo_ray.cluster.outcome_data import (
    Patients,
    draw_outcome_folds,
    find_slides,
    gather_patients,
)
from histo_ray.cluster.outcome_note import OutcomePlan, find_doubts
from histo_ray.cluster.work import row_of
from histo_ray.learn.outcome_config import ExpressionConfig
from histo_ray.store.store import open_store
from histo_ray.types import RunRow, Slide
from tests.cluster.patients import PATIENTS, write_labels, write_store
from tests.made_up import facts_of

ENCODERS = ("dull", "sharp")


def slide(name: str, patient: str, mark: object = "") -> Slide:
    return Slide(name, f"{name}.svs", patient, extra={"synthetic": mark})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that lost slides: one failed, one empty, one failed of a patient with another."""
    folder = tmp_path_factory.mktemp("lost")
    store = open_store(write_store(folder))
    write_labels(folder)
    with (folder / "expression.csv").open("a", encoding="utf-8") as file:
        for patient in ("TCGA-97-0001", "TCGA-97-0002"):
            file.write(f"{patient},{','.join(['0.5'] * 9)}\n")
    for encoder in ENCODERS:
        facts = facts_of(
            "glass", encoder, "t0", 11, patient_id="TCGA-97-0002", empty_reason="no tissue"
        )
        store.commit(facts.key, facts, [])
    failed = (
        slide("broken", "TCGA-97-0001"), slide("second", PATIENTS[4]), slide("alone", "TCGA-97-9"),
    )  # fmt: skip
    rows: list[RunRow] = []
    for encoder in ENCODERS:
        rows += [row_of(one, encoder, "failed", "truncated") for one in failed]
        rows.append(row_of(slide("glass", "TCGA-97-0002"), encoder, "empty", "no tissue"))
    store.write_run("20261101T000000-aaaaaa", rows)
    return folder


def plan(place: Path, **changes: object) -> OutcomePlan:
    config = ExpressionConfig.model_validate(
        {"store": str(place / "store"), "labels": str(place / "expression.csv"),
         "encoder": ENCODERS, "repeats": 1} | changes
    )  # fmt: skip
    found = find_slides(open_store(config.store), config)
    patients: Patients = gather_patients(found, config)
    folds = draw_outcome_folds(patients, config)
    return OutcomePlan(config, found, patients, folds, [], {}, config.permutations)


def test_slides_that_failed_are_counted_and_their_patients_named_with_the_reason(
    place: Path,
) -> None:
    patients = plan(place).patients
    assert sorted(patients.manifested.failed) == ["alone", "broken", "second"]
    assert list(patients.manifested.empty) == ["glass"]
    assert len(patients.manifested.lost) == 3
    reasons = {row.patient_id: row.reason for row in patients.cohort.rows}
    assert reasons["TCGA-97-0001"] == "every slide failed in extraction"
    assert reasons["TCGA-97-0002"] == "every slide is without tiles"
    assert reasons["TCGA-97-9"] == "every slide failed in extraction; no label"
    assert reasons[PATIENTS[4]] == ""


@pytest.mark.parametrize(
    ("marked", "told"), [(1, "1 of 64 slides"), (1000, "all 64 slides"), (0, "")]
)
def test_slides_that_a_manifest_marks_are_called_synthetic(
    place: Path, marked: int, told: str
) -> None:
    used = plan(place).patients.slides
    mark: Sequence[object] = [True, "TRUE", 1]
    rows = [
        row_of(slide(name, "P", mark[at % 3] if at < marked else "false"), "dull", "skipped", "", 9)
        for at, name in enumerate(used)
    ]
    open_store(str(place / "store")).write_run("20261102T000000-bbbbbb", rows)
    warnings = [text for text in find_doubts(plan(place)) if "SYNTHETIC" in text]
    assert len(warnings) == bool(told)
    assert not told or told in warnings[0]
