"""What is known of an evaluation before it runs: no Ray, a store on disk."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from histo_ray.evaluate.caveats import CaveatCode, EncoderDigests, same_weights_caveats
from histo_ray.evaluate.patients.patient_caveats import find_patient_caveats
from histo_ray.evaluate.patients.patient_cohort import (
    Patients,
    draw_patient_folds,
    find_slides,
    gather_patients,
)
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_record import name_chance_test
from histo_ray.evaluate.tasks.expression import TASK, ExpressionConfig
from histo_ray.extract.work import row_of
from histo_ray.report.caveat_words import write_caveat
from histo_ray.store.store import open_store
from histo_ray.types import Outcome, RunRow, Slide
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
        rows += [row_of(one, encoder, Outcome.FAILED, "truncated") for one in failed]
        rows.append(row_of(slide("glass", "TCGA-97-0002"), encoder, Outcome.EMPTY, "no tissue"))
    store.write_run("20261101T000000-aaaaaa", rows)
    return folder


def plan(place: Path, **changes: object) -> PatientPlan:
    config = ExpressionConfig.model_validate(
        {"store": str(place / "store"), "labels": str(place / "expression.csv"),
         "encoder": ENCODERS, "repeats": 1} | changes
    )  # fmt: skip
    found = find_slides(open_store(config.store), config)
    patients: Patients = gather_patients(found, TASK, config)
    folds = draw_patient_folds(patients, TASK, config)
    return PatientPlan(
        TASK, config, found, patients, folds, [], {}, TASK.count_permutations(config)
    )


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
    assert reasons["TCGA-97-9"] == "every slide failed in extraction, no label"
    assert reasons[PATIENTS[4]] == ""


def test_slides_whose_partitions_are_gone_are_told_of_and_not_only_missed(
    place: Path, tmp_path: Path
) -> None:
    place = Path(shutil.copytree(place, tmp_path / "own"))
    lost = slide("erased", "TCGA-97-0003")
    elsewhere = slide("here", "TCGA-97-0004")  # in other tiles
    store = open_store(str(place / "store"))
    facts = facts_of(
        "here", ENCODERS[0], "t9", 11, patient_id="TCGA-97-0004", empty_reason="no tissue"
    )
    rows = [row_of(one, ENCODERS[0], Outcome.DONE, "", 9) for one in (lost, elsewhere)]
    with (place / "expression.csv").open("a", encoding="utf-8") as file:
        file.write(f"TCGA-97-0003,{','.join(['0.5'] * 9)}\n")
    store.commit(facts.key, facts, [])
    store.write_run("20261103T000000-cccccc", rows)
    patients = plan(place, tiling="t0").patients
    assert dict(patients.manifested.gone) == {"erased": "TCGA-97-0003"}
    reasons = {row.patient_id: row.reason for row in patients.cohort.rows}
    assert reasons["TCGA-97-0003"] == "every slide was extracted, but its partition is gone"
    (note,) = (one for one in patients.cohort.notes if "gone" in one)
    assert note.startswith("1 slide extracted before, of which the partition is gone (erased)")
    assert not plan(place, tiling="t0").patients.manifested.failed.keys() & {"erased"}


@pytest.mark.parametrize(
    ("marked", "told"), [(1, "1 of 64 slides"), (1000, "all 64 slides"), (0, "")]
)
def test_slides_that_a_manifest_marks_are_called_synthetic(
    place: Path, marked: int, told: str
) -> None:
    used = plan(place).patients.slides
    mark: Sequence[object] = [True, "TRUE", 1]
    rows = [
        row_of(
            slide(name, name[:12], mark[at % 3] if at < marked else "no"),
            "dull",
            Outcome.SKIPPED,
            "",
            9,
        )
        for at, name in enumerate(used)
    ]
    open_store(str(place / "store")).write_run("20261102T000000-bbbbbb", rows)
    caveats = [one for one in find_patient_caveats(plan(place)) if one.code is CaveatCode.SYNTHETIC]
    assert len(caveats) == bool(told)
    assert not told or told in write_caveat(caveats[0])


def test_the_permutation_test_says_that_it_pools_and_extrapolates() -> None:
    told = name_chance_test(1000)
    assert told == ("permutation test, 1,000 permuted genes refitted and pooled, tail extrapolated")
    assert name_chance_test(0) == "corrected resampled t-test"


@pytest.mark.parametrize(
    ("changes", "stated"),
    [({"transform": "none"}, True), ({"transform": "none", "permutations": 0}, False), ({}, False)],
)
def test_pooling_genes_that_are_not_rank_normal_is_a_caveat(
    place: Path, changes: dict[str, object], stated: bool
) -> None:
    caveats = [
        one
        for one in find_patient_caveats(plan(place, **changes))
        if one.code is CaveatCode.POOLED_NULL
    ]
    assert len(caveats) == stated
    assert not stated or "--transform none it may not" in write_caveat(caveats[0])


@pytest.mark.parametrize(
    ("sites", "folds", "told"),
    [
        ([("A",), ("B",), ("C",), ("D",)], 5, r"\(4 sites\).*--keep-together site --folds 4 shows"),
        ([("A",), ("B",), ("C",), ("D",)], 4, r"--keep-together site shows"),
        ([("A",), ()], 5, r"of one.*--keep-together site is impossible"),
        ([()], 5, r"no site of any patient is known"),
        ([("A", "B"), ("B",)], 5, r"tie all together, so no fold can be without"),
    ],
)
def test_the_remedy_against_sites_is_one_that_works(
    place: Path, sites: list[tuple[str, ...]], folds: int, told: str
) -> None:
    made = plan(place)
    config = made.config.model_copy(update={"folds": folds})
    count = len(made.patients.cohort.patients)
    given = tuple(sites[at % len(sites)] for at in range(count))
    cohort = replace(made.patients.cohort, sites=given)
    if () in sites and len(sites) > 1:  # one patient without a site beside those of one site
        cohort = replace(cohort, sites=(*given[:1] * (count - 1), ()))
    patients = replace(made.patients, cohort=cohort)
    found = find_patient_caveats(replace(made, config=config, patients=patients))
    assert sum(bool(re.search(told, write_caveat(one))) for one in found) == 1


def test_one_network_under_two_names_is_a_caveat() -> None:
    same = EncoderDigests("w", "v")
    (found,) = same_weights_caveats(
        {"a": same, "other": EncoderDigests("x", "v"), "b": same, "unknown": EncoderDigests("", "")}
    )
    assert "a and b have the same weights and the same embeddings" in write_caveat(found)
    (found,) = same_weights_caveats({"a": same, "b": EncoderDigests("w", "other")})
    assert "comes from how tiles are prepared" in write_caveat(found)
    nothing = EncoderDigests("", "v")  # as of embeddings that were imported
    assert list(same_weights_caveats({"a": nothing, "b": nothing})) == []


def test_a_run_on_patients_names_encoders_that_are_one(place: Path) -> None:
    made = plan(place)
    first = made.found[0]
    twin = replace(first, encoder="twin")
    told = [write_caveat(one) for one in find_patient_caveats(replace(made, found=[first, twin]))]
    assert sum("they are one encoder, so there is no difference" in text for text in told) == 1
