"""Names of genes pass, whatever they look like; clinical columns, counters and dates do not."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.expression_labels import read_expression
from histo_ray.labels.genes import load_published
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.mutation_labels import read_mutations
from histo_ray.labels.not_genes import find_not_genes
from histo_ray.labels.target_exclusions import ExcludedTarget, TargetExclusion

INDEX, CLINICAL, DATE = (
    TargetExclusion.ROW_NUMBERS,
    TargetExclusion.CLINICAL,
    TargetExclusion.DATE,
)
COUNTER, UNNAMED = TargetExclusion.COUNTER, TargetExclusion.UNNAMED
GENES = (
    *("MARCH1", "MARCH11", "MARC1", "MARCHF1", "SEPT9", "SEPT15", "SEP15", "SEPTIN2", "DEC1"),
    *("DEC2", "DELEC1", "NOV", "OCT4", "OCT-4", "DEC-1", "APR-1", "AGER", "OS9", "EFS", "BCR"),
    *("TTP", "MSI1", "MSI2", "TMBIM6", "BMI1", "T", "PT", "MAI", "SET", "GEN1", "TIMELESS", "SRY"),
    *("PAGE5", "XAGE1B", "MAGE-A3", "HLA-A", "HLA-DRB1", "NKX2-1", "MT-ND1", "SOX2-OT"),
    *("DLX6-AS1", "RP11-34P13.7", "CTD-2350J17.1", "AC012345.1", "C1orf112", "ENSG00000141510"),
    *("ENSG00000141510.18", "7SK", "5S_rRNA", "5.8S", "hsa-mir-21", "label", "EGFR_status"),
    *("TP53_mutation_status", "HER2_status", "TP53_mut", "CD8A_rnaseq", "TP53|7157", "1-8D"),
)
NO_GENES = {
    INDEX: ("Unnamed: 0", "Unnamed: 0.1", "unnamed_0", "index", "level_0", "rownames"),
    CLINICAL: (
        *("age", "AGE_AT_DIAGNOSIS", "ageAtDiagnosis", "Diagnosis Age", "sex", "gender"),
        *(
            "is_female",
            "survival_months",
            "censorship",
            "OS_MONTHS",
            "OS.time",
            "PFS",
            "DFS_STATUS",
        ),
        *("Overall Survival (Months)", "OS event", "EFS_MONTHS", "days_to_death", "vital_status"),
        *("status", "event", "tumor_status", "stage", "ajcc_pathologic_stage", "pathologic_T"),
        *("grade", "RACE", "smoking", "pack_years_smoked", "tumour purity", "Tumor_Purity"),
        *("TMB", "TMB (nonsynonymous)", "TMB_NONSYNONYMOUS", "MSI", "MSI_SENSOR_SCORE"),
        *("MUTATION_COUNT", "FRACTION_GENOME_ALTERED", "cause_of_death", "time_to_event"),
    ),
    COUNTER: (
        *("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous", "__no_feature"),
        *("__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique"),
        *("no_feature", "alignment_not_unique", "X__no_feature", "Unassigned_NoFeatures"),
    ),
    DATE: (
        *("1-Mar", "01-Mar", "Mar-01", "Mar-1", "2-Sep", "02-Sep-19", "1-Dec", "1-MAR", "4-Oct"),
        *("1-Mar.1", "X1.Mar", "1.Mrz", "01. Mrz", "1-Dez", "Mar-2001", "March 1, 2001"),
        *("2001-03-01", "2001-03-01 00:00:00", "2021-03-01T00:00:00", "X2001.03.01"),
        *("3/1/2001", "03/01/01", "01.03.2001", "44256", "44256.0", "X44256", "44440"),
    ),
    UNNAMED: ("?", "Unknown"),
}


def read(path: Path, text: str, **settings: Any) -> LabelTable:
    path.write_text(text)
    return read_expression(LabelSettings(labels=str(path), **settings))


@pytest.mark.parametrize("name", GENES)
def test_genes_that_look_odd_pass(name: str) -> None:
    assert find_not_genes([name, "TP53", "KRAS"]) == {}


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in NO_GENES.items() for n in names])
def test_other_names_are_set_aside_with_the_reason(kind: str, name: str) -> None:
    assert find_not_genes(["TP53", name, "KRAS"]) == {1: kind}


def test_numbers_in_a_table_of_entrez_numbers_are_genes() -> None:
    assert find_not_genes(["44256", "7157", "3845"]) == {}
    assert find_not_genes(["44256", "TP53", "KRAS"]) == {0: DATE}


def test_what_is_asked_for_by_name_passes_unless_it_may_stand_for_two_genes() -> None:
    names = ["age", "N_unmapped", "1-Mar", "Unnamed: 0"]
    assert find_not_genes(names, names) == {2: DATE, 3: INDEX}


def test_no_gene_of_the_built_in_list_is_set_aside() -> None:
    assert find_not_genes(list(load_published("immune").genes)) == {}


def test_no_real_gene_is_set_aside(real_data: Path) -> None:
    schema = pq.read_schema(real_data / "tables" / "tcga_luad_expression.parquet")
    genes = [name for name in schema.names if name != "patient_id"]
    assert len(genes) == 1555
    assert find_not_genes(genes) == {}


def test_a_clinical_table_gives_its_genes_and_tells_the_rest_in_a_line(tmp_path: Path) -> None:
    text = (
        "Unnamed: 0,case_id,age,survival_months,censorship,CD8A\n0,p1,50,1.5,0,1\n1,p2,51,2.5,1,2\n"
    )
    labels = read(tmp_path / "a.csv", text)
    assert labels.targets == ("CD8A",)
    assert "columns left out as no labels: Unnamed: 0" in labels.notes
    told = (
        "3 names are set aside as no genes: age, survival_months, censorship (clinical); "
        "--genes evaluates clinical columns and counters that it names"
    )
    assert told in labels.notes
    assert labels.dropped[0] == ExcludedTarget("age", CLINICAL)
    (tmp_path / "genes.txt").write_text("age\nCD8A\n")
    asked = read(tmp_path / "a.csv", text, genes=str(tmp_path / "genes.txt"))
    assert asked.targets == ("age", "CD8A")
    with pytest.raises(ConfigError, match=r"0 genes with values \(left out: age \(clinical\)\)"):
        read(tmp_path / "a.csv", "patient_id,age\np1,50\np2,51\n")


def test_dates_are_never_averaged_whichever_way_round_the_table_is(tmp_path: Path) -> None:
    wide = "patient_id,1-Mar,1-Mar,2-Sep,CD8A\np1,1,9,3,4\np2,5,9,7,8\n"
    turned = "gene,p1,p2\n1-Mar,1,5\n1-Mar,9,9\n2-Sep,3,7\nCD8A,4,8\nN_unmapped,99,98\n"
    long = (
        "patient_id,gene,value\np1,1-Mar,1\np1,1-Mar,9\np1,CD8A,4\np2,CD8A,8\np2,__no_feature,7\n"
    )
    for text in (wide, turned, long):
        labels = read(tmp_path / "a.csv", text)
        assert labels.targets == ("CD8A",)
        np.testing.assert_array_equal(labels.values, [[4], [8]])
        (note,) = [note for note in labels.notes if "1-Mar" in note]
        assert "a date, as spreadsheets make of gene names" in note


def test_clinical_columns_of_a_mutation_table_are_no_genes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "case_id,slide_id,is_female,censorship,age,label\np1,s1,1,0,67,1\np2,s2,0,1,5,0\n"
    )
    labels = read_mutations(LabelSettings(labels=str(path)))
    assert labels.targets == ("label",)
    assert [drop.target for drop in labels.dropped] == ["is_female", "censorship", "age"]


def test_row_numbers_are_not_taken_for_patients(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Unnamed: 0,who,CD8A\n" + "".join(f"{k},{k + 100},{k}.5\n" for k in range(9)))
    known = [str(k) for k in range(9)] + [str(k + 100) for k in range(9)]
    labels = read_expression(LabelSettings(labels=str(path)), known)
    assert labels.patients == tuple(str(k + 100) for k in range(9))


def test_one_name_is_set_aside_in_the_singular(tmp_path: Path) -> None:
    labels = read(tmp_path / "a.csv", "case_id,age,CD8A\np1,50,1\np2,51,2\n")
    assert any("1 name is set aside as no gene: age (clinical)" in note for note in labels.notes)
