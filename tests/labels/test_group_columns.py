from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.genes import read_genes
from histo_ray.labels.group_columns import read_group_columns
from histo_ray.labels.label_settings import LabelSettings

TABLE = """patient_id,TP53,Sex,age,stage,note
TCGA-05-4249-01A,1,F,51,I,a
TCGA-05-4249-02A,0,F,51,II,b
P2,0,M,60,III,c
P3,1,,63,III,d
P4,1,M,70,IV,e
"""


def settings(folder: Path, text: str = TABLE) -> LabelSettings:
    path = folder / "labels.csv"
    path.write_text(text)
    return LabelSettings(labels=str(path))


def test_patients_are_grouped_by_what_a_column_says(tmp_path: Path) -> None:
    sex, stage = read_group_columns(settings(tmp_path), ("sex", "stage"), {"P2"})
    assert sex.groups == {"TCGA-05-4249": "F", "P2": "M", "P4": "M"}
    assert sex.group_of("TCGA-05-4249-01Z-00-DX1") == "F"
    assert sex.group_of("P3") == sex.group_of("P9") == ""
    assert stage.groups == {"P2": "III", "P3": "III", "P4": "IV"}
    assert stage.notes == (
        "column stage: 1 patient with several values (TCGA-05-4249) in no group",
    )


def test_many_numbers_are_cut_at_their_median(tmp_path: Path) -> None:
    rows = "".join(f"P{at},0,{40 + at}\n" for at in range(11))
    (age,) = read_group_columns(settings(tmp_path, "patient_id,TP53,age\n" + rows), ("age",))
    assert age.groups["P5"] == "up to 45"
    assert age.groups["P6"] == "above 45"
    assert age.notes == ("column age: numbers, cut at their median 45",)


def test_what_makes_no_groups_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--subgroup gender: .* no such column; .* Sex"):
        read_group_columns(settings(tmp_path), ("gender",))
    rows = "".join(f"P{at},0,x{at}\n" for at in range(30))
    many = settings(tmp_path, "patient_id,TP53,name\n" + rows)
    with pytest.raises(ConfigError, match=r"30 different values .* too many for groups"):
        read_group_columns(many, ("name",))
    turned = settings(tmp_path, "gene,P1,P2\nTP53,0,1\n")
    with pytest.raises(ConfigError, match="patients in columns"):
        read_group_columns(turned, ("gene",), {"P1", "P2"})


def test_genes_may_be_given_line_by_line() -> None:
    found = read_genes("TP53\n KRAS\nTP53\n")
    assert found is not None
    assert found.names == ("TP53", "KRAS")
