from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.mutation_labels import (
    PROTEIN_CHANGING,
    is_default,
    parse_calls,
    read_mutations,
)
from histo_ray.labels.target_exclusions import ExcludedTarget, TargetExclusion

NAN = np.nan
CALLS = "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\tMutation_Status\n"
MAF = """#version 2.4
Hugo_Symbol\tEntrez_Gene_Id\tVariant_Classification\tTumor_Sample_Barcode\tHGVSp
TP53\t7157\tMissense_Mutation\tTCGA-05-4249-01A-11D\tp.R175H
TP53\t7157\tNonsense_Mutation\tTCGA-05-4249-01A-11D\tp.R213*
TP53\t7157\tSilent\tTCGA-44-2655-01A-11D\tit's "one
KRAS\t3845\tIn_Frame_Ins\tTCGA-44-2655-06A-11D\tx
KRAS\t3845\tmissense_mutation\tTCGA-44-2656-01A-11D\tp.G12C
MUC4\t1\tIntron\tTCGA-44-2657-01A-11D\t
EGFR\t1956\t3'UTR\tTCGA-44-2656-01A-11D\t
\t0\tSilent\tTCGA-44-2656-01A-11D\t
"""


def read(path: Path, text: str, **settings: Any) -> LabelTable:
    path.write_text(text)
    return read_mutations(LabelSettings(labels=str(path), **settings))


def test_only_calls_that_change_the_protein_count(tmp_path: Path) -> None:
    labels = read(tmp_path / "a.maf", MAF)
    assert labels.patients == ("TCGA-05-4249", "TCGA-44-2655", "TCGA-44-2656", "TCGA-44-2657")
    assert labels.targets == ("KRAS", "TP53")
    np.testing.assert_array_equal(labels.values, [[0, 1], [0, 0], [1, 0], [0, 0]])
    assert labels.dropped == tuple(
        ExcludedTarget(gene, TargetExclusion.NO_CALL) for gene in ("EGFR", "MUC4")
    )
    notes = "\n".join(labels.notes)
    assert "4 of 8 calls count" in notes
    assert "Silent 2, Intron 1, 3'UTR 1" in notes
    assert "sequenced: the 4 patients with any call" in notes
    assert "1 sample of recurrent or metastatic" in notes


def test_classes_that_change_the_protein_are_those_of_maftools() -> None:
    changing = [
        "Frame_Shift_Del", "Frame_Shift_Ins", "Splice_Site", "Translation_Start_Site",
        "Nonsense_Mutation", "Nonstop_Mutation", "In_Frame_Del", "In_Frame_Ins",
        "Missense_Mutation",
    ]  # fmt: skip
    other = ["Silent", "Intron", "RNA", "5'Flank", "3'UTR", "IGR", "Splice_Region", "", None]
    values, bad = parse_calls(pa.array([*changing, *other]))
    np.testing.assert_array_equal(values, [1] * 9 + [0] * 9)
    assert not bad.any()


def test_the_sequenced_are_those_listed_where_there_is_a_list(tmp_path: Path) -> None:
    listed = tmp_path / "cases_sequenced.txt"
    listed.write_text("case_list_ids: TCGA-44-2656-01\tTCGA-05-4249-01\tTCGA-99-0001-01\n")
    labels = read(tmp_path / "a.maf", MAF, sequenced=str(listed))
    assert labels.patients == ("TCGA-05-4249", "TCGA-44-2656", "TCGA-99-0001")
    np.testing.assert_array_equal(labels.values, [[0, 1], [1, 0], [0, 0]])
    assert "of whom 1 have no call" in labels.notes[-2]
    assert labels.notes[-1].startswith("2 patients with calls but not in it left out (TCGA-44-2655")
    listed.write_text("p1\np2\n")
    with pytest.raises(
        ConfigError, match=r"--sequenced .*: none of its ids \(p1, p2\) is a patient of"
    ):
        read(tmp_path / "a.maf", MAF, sequenced=str(listed))
    with pytest.raises(
        ConfigError,
        match=r"--sequenced: only for a MAF, but .* layout patients-in-rows; leave it out",
    ):
        read(tmp_path / "a.csv", "patient_id,TP53\np1,1\n", sequenced=str(listed))


def test_asking_for_genes_does_not_change_who_was_sequenced(tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_text("KRAS\nBRAF\n")
    labels = read(tmp_path / "a.maf", MAF, genes=str(tmp_path / "genes.txt"))
    assert len(labels.patients) == 4
    assert labels.targets == ("KRAS",)
    assert labels.dropped == (ExcludedTarget("BRAF", TargetExclusion.ABSENT),)


def test_a_maf_of_silent_calls_is_refused(tmp_path: Path) -> None:
    text = "gene,patient_id,Variant_Classification\nTP53,p1,Silent\nTP53,p2,Intron\n"
    with pytest.raises(
        ConfigError, match=r"no call counts as a mutation: calls of Silent 1, Intron 1, wh"
    ):
        read(tmp_path / "a.csv", text)


@pytest.mark.parametrize(
    "text",
    [
        "patient_id,TP53,KRAS\np1,1,0\np2,NA,1\n",
        "patient_id,TP53,KRAS\np1,MUT,WT\np2,NS,mut\n",
        "patient_id,TP53,KRAS\np1,True,FALSE\np2,,true\n",
        "patient_id,TP53,KRAS\np1,1.0,0.0\np2,nan,1.0\n",
        "gene,p1,p2\nTP53,1,\nKRAS,0,1\n",
        "patient_id,gene,value\np1,TP53,1\np2,KRAS,MUT\np1,KRAS,0\np1,TP53,0\n",
    ],
)
def test_states_are_read_however_they_are_written(tmp_path: Path, text: str) -> None:
    labels = read(tmp_path / "a.csv", text)
    assert labels.patients == ("p1", "p2")
    order = [labels.targets.index(gene) for gene in ("TP53", "KRAS")]
    np.testing.assert_array_equal(labels.values[:, order], [[1, 0], [NAN, 1]])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "patient_id,TP53,KRAS\np1,1,0\np2,0,G12C\n",
            "1 cell is not 0, 1, true.*: column KRAS, row p2: 'G12C'",
        ),
        ("patient_id,TP53,dose\np1,1,67\n", "column dose, row p1: '67'; .*--genes"),
        (
            "patient_id,TP53,site\np1,1,a\np2,2,b\n",
            "1 cell is not 0, 1, .*column TP53, row p2: '2'",
        ),
        ("gene,p1,p2\nTP53,1,inf\n", "column p2, row TP53: 'inf'"),
        (
            "patient_id,gene,value\np1,TP53,1\np2,KRAS,-1\n",
            "1 cell is not 0, 1, .*column KRAS, row p2: '-1'",
        ),
        (
            "patient_id,gene\np1,TP53\n",
            "a long table needs one column `value` .or Variant_Classification",
        ),
    ],
)
def test_other_values_are_refused_with_column_and_value(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        read(tmp_path / "a.csv", text)


def test_a_patient_in_two_rows_that_differ_is_refused(tmp_path: Path) -> None:
    text = "patient_id,TP53\np1,1\np2,0\np1,0\n"
    with pytest.raises(
        ConfigError, match=r"1 id in several rows .*\(p1\), in column TP53 \(1 id\)"
    ):
        read(tmp_path / "a.csv", text)
    labels = read(tmp_path / "a.csv", text.replace("p1,0", "p1,1\n,1"))
    assert labels.patients == ("p1", "p2")
    assert "1 row without a patient left out" in labels.notes
    assert "1 id more than once, with the same values" in labels.notes


def calls(*rows: tuple[str, str, str]) -> str:
    """A MAF of missense calls: gene, patient, Mutation_Status."""
    return CALLS + "".join(f"{g}\tMissense_Mutation\t{p}\t{status}\n" for g, p, status in rows)


@pytest.mark.parametrize(
    "status", ["Wildtype", "WILDTYPE", "wild type", "LOH", "None", "none", "Germline", "GERMLINE"]
)
def test_calls_that_are_no_somatic_mutation_do_not_count(tmp_path: Path, status: str) -> None:
    text = calls(("TP53", "p1", "Somatic"), ("TP53", "p2", status), ("KRAS", "p2", "Somatic"))
    labels = read(tmp_path / "a.maf", text)
    assert (labels.patients, labels.targets) == (("p1", "p2"), ("KRAS", "TP53"))
    np.testing.assert_array_equal(labels.values, [[0, 1], [1, 0]])
    assert f"calls that do not count for their Mutation_Status: {status} 1" in labels.notes
    assert any(note.startswith("2 of 3 calls count") for note in labels.notes)


@pytest.mark.parametrize("status", ["Somatic", "SOMATIC", "Unknown", "UNKNOWN", "", "somatic_vs_x"])
def test_calls_that_are_somatic_or_unknown_count(tmp_path: Path, status: str) -> None:
    labels = read(tmp_path / "a.maf", calls(("TP53", "p1", status), ("KRAS", "p2", "Somatic")))
    np.testing.assert_array_equal(labels.values, [[0, 1], [1, 0]])
    assert not any("Mutation_Status" in note for note in labels.notes)


def test_a_maf_of_nothing_but_germline_calls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no call counts .* beside 2 whose Mutation_Status"):
        read(tmp_path / "a.maf", calls(("TP53", "p1", "Germline"), ("TP53", "p2", "LOH")))


@pytest.mark.parametrize(
    "head",
    [
        "#sequenced_samples: p1 p2 p3 p4\n",
        "#version 2.4\n#sequenced_samples: p1 p2\n# sequenced_samples:\tp3\tp4\n",
        "#Sequenced_Samples p3,p4\n",
    ],
)
def test_samples_that_the_maf_names_as_sequenced_are_zero_without_a_call(
    tmp_path: Path, head: str
) -> None:
    text = head + calls(("TP53", "p1", "Somatic"), ("TP53", "p2", "Wildtype"))
    labels = read(tmp_path / "a.maf", text)
    assert labels.patients == ("p1", "p2", "p3", "p4")
    np.testing.assert_array_equal(labels.values[:, 0], [1, 0, 0, 0])
    (note,) = [note for note in labels.notes if note.startswith("sequenced: 4 patients")]
    assert "2 have no call and are named by #sequenced_samples" in note
    beside = any("2 patients with calls but not named there (p1, p2)" in n for n in labels.notes)
    assert beside == ("p1" not in head)


def test_sequenced_barcodes_are_cut_normal_samples_left_out_and_the_flag_goes_before(
    tmp_path: Path,
) -> None:
    head = "#sequenced_samples: TCGA-05-4249-01 tcga-44-2655-01 TCGA-99-0001-11\n"
    text = head + calls(("TP53", "TCGA-05-4249-01A", "Somatic"))
    labels = read(tmp_path / "a.maf", text)
    assert labels.patients == ("TCGA-05-4249", "TCGA-44-2655")
    (tmp_path / "listed.txt").write_text("TCGA-05-4249\nTCGA-99-0001\n")
    labels = read(tmp_path / "a.maf", text, sequenced=str(tmp_path / "listed.txt"))
    assert labels.patients == ("TCGA-05-4249", "TCGA-99-0001")
    assert "#sequenced_samples of the MAF is not used, as --sequenced is given" in labels.notes


def test_the_classes_that_count_are_chosen_and_told(tmp_path: Path) -> None:
    labels = read(tmp_path / "a.maf", MAF)
    assert labels.variant_classes == PROTEIN_CHANGING
    asked = ("silent,Missense_Mutation", "3'UTR")
    labels = read(tmp_path / "a.maf", MAF, variant_classes=asked)
    assert labels.variant_classes == ("3'UTR", "Missense_Mutation", "Silent")
    assert labels.targets == ("EGFR", "KRAS", "TP53")
    np.testing.assert_array_equal(labels.values, [[0, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]])
    same = read(tmp_path / "a.maf", MAF, variant_classes=PROTEIN_CHANGING)
    assert is_default(same.variant_classes)
    assert not is_default(labels.variant_classes)
    with pytest.raises(ConfigError, match="--variant-classes Missens: no class of the MAF format"):
        read(tmp_path / "a.maf", MAF, variant_classes=("Missens",))
    with pytest.raises(ConfigError, match="--variant-classes: only for a MAF"):
        read(tmp_path / "a.csv", "patient_id,TP53\np1,1\n", variant_classes=("Silent",))


@pytest.mark.parametrize("layout", ["wide", "genes in rows", "long"])
def test_a_table_of_expression_is_called_so(layout: str, tmp_path: Path) -> None:
    values = {f"p{row}": {f"G{k}": 0.37 * row + k for k in range(5)} for row in range(12)}
    if layout == "wide":
        rows = [",".join(map(str, [p, *genes.values()])) for p, genes in values.items()]
        text = "patient_id,G0,G1,G2,G3,G4\n" + "\n".join(rows)
    elif layout == "long":
        rows = [f"{p},{g},{value}" for p, genes in values.items() for g, value in genes.items()]
        text = "patient_id,gene,value\n" + "\n".join(rows)
    else:
        genes = [f"G{k}," + ",".join(str(values[p][f"G{k}"]) for p in values) for k in range(5)]
        text = "Hugo_Symbol," + ",".join(values) + "\n" + "\n".join(genes)
    with pytest.raises(ConfigError, match=r"look like expression.*`evaluate expression`") as error:
        read(tmp_path / "a.csv", text)
    assert len(str(error.value)) < 400


def test_a_few_miswritten_states_are_not_called_expression(tmp_path: Path) -> None:
    text = "patient_id,G0\n" + "".join(f"p{k},{k % 2}\n" for k in range(20)) + "px,0.5\npy,2\n"
    with pytest.raises(ConfigError, match="2 cells are not 0, 1") as error:
        read(tmp_path / "a.csv", text)
    assert "expression" not in str(error.value)
