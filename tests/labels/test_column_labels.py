"""Columns of label files and manifests become labels of patients."""

from pathlib import Path

import numpy as np
import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.column_labels import (
    MANIFEST,
    count_classes,
    open_column_file,
    open_manifest_columns,
    read_columns,
)
from histo_ray.labels.column_wishes import ColumnWishes
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.rare_classes import drop_rare_classes
from histo_ray.types import TargetKind

NAN = float("nan")
SLIDES = {"s1": "P1", "s2": "P1", "s3": "P2", "s4": "P3"}


def read(folder: Path, text: str, *columns: str, **changes: str) -> LabelTable:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    settings = LabelSettings(labels=str(path), **changes)  # type: ignore[arg-type]
    rows = open_column_file(settings, {"P1", "P2", "P3"}, SLIDES)
    return read_columns(rows, {name: ColumnWishes() for name in columns})


def test_columns_of_several_kinds_are_read_for_each_patient(tmp_path: Path) -> None:
    labels = read(
        tmp_path,
        "patient_id,Stage,age,sex\nP1,I,50.5,f\nP2,II,NA,m\nP3,III,61,m\n",
        "stage", "age", "sex",
    )  # fmt: skip
    assert labels.patients == ("P1", "P2", "P3")
    assert labels.targets == ("stage", "age", "sex")
    kinds = [TargetKind.MULTICLASS, TargetKind.BINARY, TargetKind.BINARY]
    assert [column.kind for column in labels.columns] == kinds
    np.testing.assert_array_equal(labels.values, [[0, 0, 1], [1, NAN, 0], [2, 1, 0]])
    assert labels.noun == "column"
    assert count_classes(labels)[2].startswith("column sex: binary (")
    assert count_classes(labels)[2].endswith("m 2, f 1")
    picked = labels.pick(TargetKind.BINARY)
    assert (picked.targets, picked.kind) == (("age", "sex"), TargetKind.BINARY)


def test_rows_of_a_patient_that_disagree_are_set_aside_and_counted(tmp_path: Path) -> None:
    text = "patient_id,slide_id,grade\nP1,s1,low\nP1,s2,high\nP2,s3,high\nP2,s9,\nP3,s4,low\n"
    labels = read(tmp_path, text, "grade")
    np.testing.assert_array_equal(labels.values[:, 0], [NAN, 1, 0])
    assert labels.caveats == (
        "column grade: 1 patient with rows or slides of different values set aside (P1)",
    )


def test_a_file_of_slides_alone_finds_patients_in_the_store(tmp_path: Path) -> None:
    labels = read(tmp_path, "slide_id,grade\ns1,low\ns2,low\ns3,high\ns7,high\n", "grade")
    assert labels.patients == ("P1", "P2")
    np.testing.assert_array_equal(labels.values[:, 0], [0, 1])
    assert "1 row of slides that the store lacks left out" in labels.notes
    with pytest.raises(ConfigError, match=r"none of the slides of column slide_id \(x, y\)"):
        read(tmp_path, "slide_id,grade\nx,low\ny,high\n", "grade")


def test_normal_tissue_is_no_label_of_a_tumour(tmp_path: Path) -> None:
    text = (
        "sample,state\nTCGA-AA-0001-01A,low\nTCGA-AA-0001-11A,high\n"
        "TCGA-AA-0002-01A,high\nTCGA-AA-0003-01A,low\n"
    )
    labels = read(tmp_path, text, "state")
    assert labels.patients == ("TCGA-AA-0001", "TCGA-AA-0002", "TCGA-AA-0003")
    np.testing.assert_array_equal(labels.values[:, 0], [0, 1, 0])
    assert "1 sample of normal tissue or controls left out" in labels.notes


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--column grde: .* no such column.*did you mean grade"):
        read(tmp_path, "patient_id,grade\nP1,a\nP2,b\n", "grde")


def test_columns_of_the_manifest_are_labels_too() -> None:
    stated = {
        "s1": {"grade": "low"}, "s2": {"grade": "low"}, "s3": {"grade": "high"},
        "gone": {"grade": "high"},
    }  # fmt: skip
    rows = open_manifest_columns(stated, SLIDES, "store")
    labels = read_columns(rows, {"grade": ColumnWishes()})
    assert (labels.origin, labels.patients) == (MANIFEST, ("P1", "P2"))
    np.testing.assert_array_equal(labels.values[:, 0], [0, 1])
    with pytest.raises(ConfigError, match=r"the store's manifest has no such column beside those "):
        read_columns(rows, {"site": ColumnWishes()})
    other = open_manifest_columns({**stated, "s1": {"grade": "high"}}, SLIDES, "store")
    assert other.digest != rows.digest
    with pytest.raises(ConfigError, match="keeps no further columns of its manifest"):
        open_manifest_columns({}, SLIDES, "store")


def test_rare_classes_go_with_their_patients_and_the_others_move_up(tmp_path: Path) -> None:
    rows = "\n".join(f"Q{n},{c}" for n, c in enumerate("aaabcccc"))
    labels = read(tmp_path, f"patient_id,kind\n{rows}\n", "kind")
    left = drop_rare_classes(labels, 3)
    assert left.columns[0].classes == ("a", "c")
    np.testing.assert_array_equal(left.values[:, 0], [0, 0, 0, NAN, 1, 1, 1, 1])
    assert left.caveats == (
        "column kind: 1 class with fewer patients than the 3 folds left out, and their patients "
        "with them: b (1 patient); merge classes in the table, or use fewer folds",
    )
    grouped = drop_rare_classes(labels, 3, ["x", "x", "y", "z", "1", "2", "3", "3"])
    assert grouped.columns[0].classes == ("c",)
    assert drop_rare_classes(labels, 1).columns == labels.columns
