from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.labels.label_layout import Layout, find_layout
from histo_ray.labels.label_settings import LabelSettings

BARCODES = ("TCGA-05-4249-01A", "TCGA-44-2655-01A", "TCGA-44-2656-11A")


def find(
    columns: Sequence[str],
    first: Sequence[str],
    known: Sequence[str] = (),
    accepts_maf: bool = False,
    **settings: Any,
) -> Layout:
    """The layout of a table whose columns all hold the cells of `first`."""
    given = LabelSettings(labels="t.csv", **settings)
    return find_layout(columns, lambda at: first, given, known, accepts_maf=accepts_maf)


def test_patients_in_rows_by_barcodes_or_by_what_the_store_knows() -> None:
    for columns, ids, known in (
        (["patient_id", "A", "B"], BARCODES, []),
        (["", "A", "B"], BARCODES, []),
        (["who", "A", "B"], ["p1", "p2"], ["p2", "p9"]),
    ):
        layout = find(columns, ids, known=known)
        assert (layout.kind, layout.ids, layout.genes, layout.values) == (
            "patients-in-rows", 0, None, (1, 2),
        )  # fmt: skip
    assert layout.notes[0] == (
        "layout patients-in-rows: 1 of 2 cells of column who are patients or barcodes"
    )


def test_genes_in_rows_by_barcodes_in_the_header_whatever_the_first_column_is_called() -> None:
    for first in ("Hugo_Symbol", "sample", "", "xyz"):
        layout = find([first, "Entrez_Gene_Id", *BARCODES], ["TP53", "KRAS"])
        assert (layout.kind, layout.ids, layout.genes, layout.values) == (
            "genes-in-rows", None, 0, (2, 3, 4),
        )  # fmt: skip
    assert "3 of 4 names of columns are patients or barcodes" in layout.notes[0]
    assert "columns left out as no labels: Entrez_Gene_Id" in layout.notes


def test_names_decide_where_no_id_is_known() -> None:
    assert find(["Hugo_Symbol", "s1", "s2"], ["TP53", "KRAS"]).kind == "genes-in-rows"
    assert find(["case_id", "TP53", "KRAS"], ["a", "b"]).kind == "patients-in-rows"
    chosen = find(["x", "mine", "TP53"], ["a", "b"], id_column="mine")
    assert (chosen.kind, chosen.ids, chosen.values) == ("patients-in-rows", 1, (0, 2))


def test_a_long_table_and_a_maf_are_known_by_their_columns() -> None:
    layout = find(["sampleId", "patientId", "hugoGeneSymbol", "value"], BARCODES)
    assert (layout.kind, layout.ids, layout.samples, layout.genes, layout.values) == (
        "long", 1, 0, 2, (3,),
    )  # fmt: skip
    maf = ["Hugo_Symbol", "Chromosome", "Variant_Classification", "Tumor_Sample_Barcode"]
    layout = find(maf, BARCODES, accepts_maf=True)
    assert (layout.kind, layout.ids, layout.genes, layout.values) == ("maf", 3, 0, (2,))
    layout = find(["case_id", "gene", "log_cpm"], ["a"])
    assert layout.values == (2,)
    assert "values from column log_cpm" in layout.notes


def test_the_caller_decides_against_the_evidence() -> None:
    layout = find(["a", *BARCODES], ["TP53"], labels_layout="patients-in-rows")
    assert (layout.kind, layout.ids, layout.values) == ("patients-in-rows", 0, (1, 2, 3))
    assert layout.notes[0] == "layout patients-in-rows: as told"


@pytest.mark.parametrize(
    ("columns", "first", "options", "told"),
    [
        (["x", *BARCODES], BARCODES, {}, "3 of 3 cells of column x and 3 of 3 .*--labels-lay"),
        (["x", "y"], ["a", "b"], {}, "none of them a known name .*--id-column, or .*--labels-lay"),
        (["x", "y"], BARCODES, {"id_column": "z"}, r"no column z, which --id-column .* x, y"),
        (["x", "y"], ["a"], {"labels_layout": "long"}, "needs a column of patients and one"),
        (["id", "gene", "tpm", "fpkm"], ["a"], {"id_column": "id"}, "needs one column `value`"),
        (["patient_id", "site"], ["a"], {}, "no column of labels beside the ids"),
        (
            ["gene", "sample", "Variant_Classification"], ["a"], {},
            r"mutation calls \(a MAF\), not of expression; use it with evaluate mutation",
        ),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_none_is_refused(
    columns: list[str], first: list[str], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        find(columns, first, **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"clip_at": "0"}, "--clip-at 0: neither a positive number nor one with sd behind it"),
        ({"clip_at": "5 sd"}, "--clip-at"),
        ({"transform": "sqrt"}, "--transform"),
        ({"max_missing": 1.0}, "--max-missing"),
        (
            {"labels_layout": "genes-in-rows", "id_column": "x"},
            "id_column: a table with genes in rows has no",
        ),
        (
            {"labels_layout": "long", "sequenced": "x"},
            "sequenced: only for a MAF, not for layout long",
        ),
    ],
)
def test_settings_that_cannot_be_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_settings(LabelSettings, {"labels": "a.csv"} | options, "flags")


def find_in(table: Mapping[str, Sequence[str]], **settings: Any) -> Layout:
    """The layout of a table of some columns."""
    columns = list(table)
    given = LabelSettings(labels="t.csv", **settings)
    return find_layout(columns, lambda at: table[columns[at]], given, accepts_maf=False)


def test_ids_that_repeat_patients_of_another_column_are_a_caveat() -> None:
    table = {"case_id": ["c1", "c1", "c2"], "slide_id": ["s1", "s2", "s3"], "CD8A": ["1", "2", "3"]}
    assert find_in(table).caveats == ()
    (caveat,) = find_in(table, id_column="slide_id").caveats
    assert caveat.startswith(
        "1 patient of column case_id with several ids in column slide_id (c1: s1, s2): where"
    )
    barcodes = ["TCGA-05-4249-01A", "tcga-05-4249-01b", "TCGA-05-4250-01A"]
    table |= {"case_id": ["TCGA-05-4249", "TCGA-05-4249", "TCGA-05-4250"], "slide_id": barcodes}
    assert find_in(table, id_column="slide_id").caveats == ()


def test_two_columns_of_patients_that_disagree_are_refused_or_told() -> None:
    table = {"PATIENT": ["p1", "p1", "p2"], "case_id": ["c1", "c2", "c2"], "CD8A": ["1"] * 3}
    told = "columns PATIENT and case_id both name patients and group 3 rows differently .*--id-col"
    with pytest.raises(ConfigError, match=told):
        find_in(table)
    assert find_in(table, id_column="case_id").ids == 1
    layout = find_in({"patient_id": table["PATIENT"], **table})
    assert layout.ids == 0
    assert any("patient_id and case_id both name patients" in note for note in layout.notes)
    agree = find_in({"case_id": ["u1", "u1", "u2"], "submitter_id": ["p1", "p1", "p2"], "G": ["1"]})
    assert (agree.ids, agree.caveats) == (1, ())
