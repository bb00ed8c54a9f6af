from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from histo_ray.cohort.cohort_table import tabulate_cohort
from histo_ray.cohort.join import Cohort, join_cohort
from histo_ray.cohort.patient_exclusions import Exclusion, PatientExclusion
from histo_ray.errors import ConfigError
from histo_ray.labels.label_table import LabelTable
from histo_ray.schema import arrow_schema
from histo_ray.types import TargetKind

NAN = np.nan


def labels_of(patients: Sequence[str]) -> LabelTable:
    """Labels that are the number of each patient."""
    values = np.arange(len(patients), dtype=float)[:, None]
    return LabelTable(
        tuple(patients), ("G",), values, (), "", "t.csv", (), kind=TargetKind.CONTINUOUS
    )


def join(
    features: Mapping[str, Sequence[str]],
    labels: Sequence[str] | LabelTable,
    sites: Mapping[str, Sequence[str]] | None = None,
    empty: Sequence[str] = (),
) -> Cohort:
    table = labels if isinstance(labels, LabelTable) else labels_of(labels)
    some = sorted(set().union(*features.values()))
    slides = dict.fromkeys(some, 2) | dict.fromkeys(empty, 0)
    return join_cohort(features, slides, sites or {}, table)


def test_patients_known_to_all_encoders_and_the_labels_are_used_and_the_rest_is_counted() -> None:
    cohort = join(
        {"imgnet": ["p4", "p1", "p2", "p5"], "ftx": ["p1", "p4", "p3", "p5"]},
        ["p0", "p1", "p2", "p3", "p4"],
        {"p1": ["05"], "p4": ["49", "44", ""], "p9": ["05"]},
        empty=["p9", "p0"],
    )
    assert cohort.patients == cohort.persons == cohort.labels.patients == ("p1", "p4")
    np.testing.assert_array_equal(cohort.labels.values, [[1], [4]])
    assert cohort.sites == (("05",), ("44", "49"))
    assert (cohort.with_features, cohort.with_labels) == (5, 5)
    assert (cohort.features_only, cohort.labels_only) == (1, 1)
    assert cohort.lost == {"imgnet": 1, "ftx": 1}
    table = tabulate_cohort(cohort)
    assert table.schema == arrow_schema("outcome_cohort")
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("p0", "", 0, False, "no tiles"),
        ("p1", "05", 2, True, ""),
        ("p2", "", 2, False, "no vectors of ftx"),
        ("p3", "", 2, False, "no vectors of imgnet"),
        ("p4", "44; 49", 2, True, ""),
        ("p5", "", 2, False, "no label"),
        ("p9", "05", 0, False, "no tiles; no label"),
    ]


def test_a_patient_known_from_labels_alone_is_listed() -> None:
    cohort = join({"a": ["TCGA-05-4249"]}, ["TCGA-05-4249", "TCGA-44-2655"])
    assert cohort.labels_only == 1
    row = cohort.rows[1]
    assert (row.patient_id, row.site, row.slides) == ("TCGA-44-2655", "44", 0)
    assert (row.used, row.reason) == (False, "no slides")


def test_longer_barcodes_of_the_store_join_and_one_person_stays_in_one_fold() -> None:
    stored = ["TCGA-05-4249-01Z", "TCGA-44-2655", "TCGA-05-4249-01A"]
    cohort = join({"a": stored}, ["TCGA-05-4249", "TCGA-44-2655"])
    assert cohort.patients == ("TCGA-05-4249-01A", "TCGA-05-4249-01Z", "TCGA-44-2655")
    assert cohort.groups("patient") == ("TCGA-05-4249", "TCGA-05-4249", "TCGA-44-2655")
    assert cohort.groups("site") == ("05", "05", "44")
    np.testing.assert_array_equal(cohort.labels.values, [[0], [0], [1]])
    assert (cohort.features_only, cohort.labels_only) == (0, 0)
    assert cohort.notes == (
        "2 patients of the store matched by the first three fields of the barcode",
        "1 patient of the store by barcode the same person as another one: kept in one fold with "
        "that",
    )


def test_an_exact_match_goes_before_a_barcode() -> None:
    labels = labels_of(["TCGA-05-4249-01", "TCGA-44-2655-01"])
    cohort = join({"a": ["TCGA-05-4249-01", "TCGA-44-2655"]}, labels)
    np.testing.assert_array_equal(cohort.labels.values, [[0], [1]])
    assert cohort.notes[0].startswith("1 patient of the store matched")
    with pytest.raises(ConfigError, match="several rows of patient TCGA-05-4249; cut barcodes"):
        join({"a": ["TCGA-05-4249"]}, ["TCGA-05-4249-01", "TCGA-05-4249-06"])


def test_a_patient_whose_labels_are_all_missing_has_none() -> None:
    values = np.array([[NAN, NAN], [NAN, 3.0], [1.0, 2.0], [NAN, NAN]])
    labels = LabelTable(
        ("p1", "p2", "p3", "p4"),
        ("A", "B"),
        values,
        (),
        "",
        "t.csv",
        (),
        kind=TargetKind.CONTINUOUS,
    )
    cohort = join({"a": ["p1", "p2"]}, labels)
    assert cohort.patients == ("p2",)
    assert (cohort.with_labels, cohort.features_only, cohort.labels_only) == (2, 1, 1)
    assert cohort.rows[0].reason == "every label missing"
    assert cohort.rows[0].exclusions == (Exclusion(PatientExclusion.LABELS_MISSING),)
    assert cohort.notes == ("2 patients with nothing but missing labels",)


def test_a_patient_of_two_sites_joins_them_and_one_without_is_alone() -> None:
    patients = ["p1", "p2", "p3", "p4", "p5"]
    sites = {"p1": ["05"], "p2": ["05", "44"], "p3": ["44"], "p4": ["50"]}
    cohort = join({"a": patients}, patients, sites)
    assert cohort.groups("patient") == tuple(patients)
    groups = cohort.groups("site")
    assert groups[0] == groups[1] == groups[2]
    assert len({groups[0], groups[3], groups[4]}) == 3
    assert cohort.notes == ("1 patient without a site: each counts as a site of its own",)


@pytest.mark.parametrize("sites", [{}, {"p1": ["05"], "p2": ["05"]}])
def test_folds_by_site_need_sites(sites: Mapping[str, Sequence[str]]) -> None:
    cohort = join({"a": ["p1", "p2"]}, ["p1", "p2"], sites)
    with pytest.raises(ConfigError, match=r"--keep-together site: .*; give a column `site`"):
        cohort.groups("site")


def test_no_patient_in_common_is_told_with_examples_of_both() -> None:
    told = (
        r"t.csv: none of its 4 patients \(x1, x2, x3, ...\) is among the 2 of the store "
        r"\(TCGA-05-4249, TCGA-44-2655\); ids join where they are equal.*barcodes.*--id-column"
    )
    with pytest.raises(ConfigError, match=told):
        join({"a": ["TCGA-05-4249", "TCGA-44-2655"]}, ["x1", "x2", "x3", "x4"])


def test_encoders_without_a_patient_in_common_are_told() -> None:
    told = "2 patients have a label .*none has vectors of all .a has 1, b has 2 patients"
    with pytest.raises(ConfigError, match=told):
        join({"a": ["p1"], "b": ["p2", "p3"]}, ["p1", "p2"])


def test_barcodes_join_in_any_case() -> None:
    cohort = join({"a": ["TCGA-05-4249", "tcga-44-2655"]}, ["tcga-05-4249", "TCGA-44-2655"])
    assert cohort.patients == ("TCGA-05-4249", "tcga-44-2655")
    assert cohort.persons == ("TCGA-05-4249", "TCGA-44-2655")
    assert join({"a": ["C3L-00001"]}, ["c3l-00001"]).patients == ("C3L-00001",)


def test_ids_that_differ_only_in_writing_are_counted_and_not_joined() -> None:
    cohort = join({"a": ["p1", "P2", "7", "q"]}, ["p1", "p2", "007", "q-2", "r"])
    assert cohort.patients == ("p1",)
    (note,) = cohort.notes
    assert note == (
        "ids of store and labels: 1 pair differs only in case (P2 / p2), 1 pair differs only in "
        "leading zeros (7 / 007), 1 pair differs only in a suffix (q / q-2); they are not joined: "
        "write them alike in manifest and labels where they are one patient"
    )
    told = r"none of its 1 patients \(p1\) .*1 pair differs only in case \(P1 / p1\)"
    with pytest.raises(ConfigError, match=told):
        join({"a": ["P1"]}, ["p1"])


def test_patients_of_the_store_that_may_be_one_are_told() -> None:
    cohort = join({"a": ["p1", "P1", "x"]}, ["p1", "P1", "x"])
    assert cohort.patients == ("P1", "p1", "x")
    assert cohort.notes[0].startswith(
        "patients of the store: 1 pair differs only in case (P1 / p1)"
    )
