"""Which way round a table of labels is: told by the caller, or found and said. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from histo_ray.slides.barcodes import cut_barcode, parse_barcode
from histo_ray.cohort.config import LabelSettings
from histo_ray.cohort.folds import name_some
from histo_ray.cohort.labels import Task
from histo_ray.errors import ConfigError

PATIENT_NAMES = (
    *("patientid", "bcrpatientbarcode", "casesubmitterid", "casessubmitterid", "submitterid"),
    *("patientbarcode", "patient", "caseid", "case"),
)
"""Names of columns in small letters and digits alone; the first that is there is taken."""
SAMPLE_NAMES = (
    *("tumorsamplebarcode", "sampleid", "samplebarcode", "samplesubmitterid", "sample"),
    *("bcrsamplebarcode", "aliquotbarcode", "aliquotsubmitterid", "barcode"),
)
GENE_NAMES = ("hugosymbol", "hugogenesymbol", "gene", "genesymbol", "genename", "symbol")
VALUE_NAMES = ("value", "expression", "zscore", "tpm", "fpkm", "fpkmuq", "rpkm", "rsem", "count")
CALL_NAMES = ("variantclassification", "mutationtype")
OTHER_NAMES = (
    *("entrezgeneid", "entrezid", "geneid", "ensemblid", "ensemblgeneid", "genetype", "cytoband"),
    *("description", "studyid", "slideid", "site", "oncotreecode", "cancertype", "projectid"),
)
"""Known to be no genes and no samples."""
REMEDY = "say which with --labels-layout patients-in-rows, genes-in-rows, long or maf"


@dataclass(frozen=True)
class Layout:
    """Which column of a table says what; columns are known by their place."""

    kind: Literal["patients-in-rows", "genes-in-rows", "long", "maf"]
    ids: int | None
    """Patients or samples; None where they are the names of columns."""
    samples: int | None
    """Samples, where `ids` are patients and this is known besides."""
    genes: int | None
    """Genes; None where they are the names of columns."""
    values: tuple[int, ...]
    """Wide: one column a gene or sample; long: the value; MAF: the class of a call."""
    notes: tuple[str, ...]


def find_layout(
    columns: Sequence[str],
    texts: Callable[[int], Sequence[str]],
    task: Task,
    settings: LabelSettings,
    known: Collection[str] = (),
) -> Layout:
    """Find out which way round a table is; nothing is guessed in silence.

    Patients and genes in columns of their own make a long table, or a MAF. Else rows and names of
    columns are searched for TCGA barcodes and patients that the store knows; where neither or
    both have some, the names of columns decide, or the caller must.

    Args:
        columns: Names of the columns.
        texts: Reads a column.
        task: What the labels are of.
        settings: What the caller says of the table.
        known: Patients that the store knows.

    Raises:
        ConfigError: A column that is named is not there, or the table can be read in two ways.
    """
    names = [re.sub("[^a-z0-9]", "", column.lower()) for column in columns]
    found = _Names(settings.labels, tuple(columns), names)
    ids, samples = _find_ids(found, settings.id_column)
    genes = found.first(GENE_NAMES)
    kind, note = settings.labels_layout, "as told"
    if kind == "auto":
        if ids is not None and genes is not None:
            kind = "long" if found.first(CALL_NAMES) is None else "maf"
            note = "found from the names of its columns"
        else:
            kind, note = _find_side(found, texts, ids, genes, known)
    notes = [f"layout {kind}: {note}"]
    if kind == "maf" and task != "mutation":
        raise ConfigError(
            f"labels {settings.labels}: mutation calls (a MAF), wanted expression; give another "
            "table or evaluate mutation"
        )
    if kind in ("long", "maf"):
        if ids is None or genes is None:
            found.refuse(f"wanted columns of patients and genes for layout {kind}")
        values: tuple[int, ...] = (_find_value(found, kind, (ids, samples, genes), notes),)
    elif kind == "genes-in-rows":
        genes = genes if genes is not None else 0
        ids = samples = None
        values = found.others({genes}, (*GENE_NAMES, *OTHER_NAMES), notes)
    else:
        ids = ids if ids is not None else 0
        genes = None
        apart = (*PATIENT_NAMES, *SAMPLE_NAMES, *OTHER_NAMES)
        values = found.others({ids}, apart, notes)
    if not values:
        found.refuse("wanted columns of labels beside it")
    for what, at in (("patients", ids), ("samples", samples), ("genes", genes)):
        if at is not None:
            notes.append(f"{what} from column {columns[at] or at + 1}")
    return Layout(kind, ids, samples, genes, values, tuple(notes))


@dataclass(frozen=True)
class _Names:
    """Names of columns, as they are and in small letters and digits."""

    origin: str
    columns: tuple[str, ...]
    plain: list[str]

    def first(self, wanted: Iterable[str]) -> int | None:
        """Place of the first of `wanted` that is there."""
        return next((self.plain.index(name) for name in wanted if name in self.plain), None)

    def others(self, but: set[int], apart: Sequence[str], notes: list[str]) -> tuple[int, ...]:
        """Columns that hold labels; the rest is noted."""
        rest = [at for at in range(len(self.columns)) if at not in but]
        left = [at for at in rest if self.plain[at] in apart or not self.columns[at]]
        if left:
            told = name_some([self.columns[at] or f"number {at + 1}" for at in left])
            notes.append(f"columns left out as no labels: {told}")
        return tuple(at for at in rest if at not in left)

    def refuse(self, wanted: str) -> NoReturn:
        raise ConfigError(
            f"labels {self.origin}: columns {name_some(self.columns, 8)}; {wanted}; name them so, "
            f"or {REMEDY} or --id-column"
        )


def _find_ids(found: _Names, given: str | None) -> tuple[int | None, int | None]:
    """Columns of patients (or else samples), and of samples beside them."""
    samples = found.first(SAMPLE_NAMES)
    if given is None:
        patients = found.first(PATIENT_NAMES)
        return (samples, None) if patients is None else (patients, samples)
    if given not in found.columns:
        raise ConfigError(
            f"labels {found.origin}: no column {given} (found: {name_some(found.columns, 8)}), "
            "wanted the one that --id-column names; correct it"
        )
    ids = found.columns.index(given)
    return ids, None if samples == ids else samples


def _find_side(
    found: _Names,
    texts: Callable[[int], Sequence[str]],
    ids: int | None,
    genes: int | None,
    known: Collection[str],
) -> tuple[Literal["patients-in-rows", "genes-in-rows"], str]:
    """Whether patients are in the rows or in the columns of a wide table, and why it is thought."""
    patients = {cut_barcode(patient) for patient in known}

    def count(names: Iterable[str]) -> tuple[int, int]:
        seen = list(names)
        return sum(cut_barcode(n) in patients or parse_barcode(n) is not None for n in seen), len(
            seen
        )

    side = next((at for at in (ids, genes) if at is not None), 0)
    in_rows, rows = count(texts(side))
    in_columns, columns = count(n for at, n in enumerate(found.columns) if at != side)
    name = found.columns[side] or f"number {side + 1}"
    by_rows = f"{in_rows} of {rows} cells of column {name}"
    by_columns = f"{in_columns} of {columns} names of columns"
    if in_rows and in_columns:
        raise ConfigError(
            f"labels {found.origin}: {by_rows} and {by_columns} are patients or barcodes, wanted "
            f"them on one side; {REMEDY}"
        )
    if in_columns:
        return "genes-in-rows", f"{by_columns} are patients or barcodes"
    if in_rows:
        return "patients-in-rows", f"{by_rows} are patients or barcodes"
    if ids is not None:
        return "patients-in-rows", f"from the name of column {name}"
    if genes is not None:
        return "genes-in-rows", f"from the name of column {name}"
    raise ConfigError(
        f"labels {found.origin}: columns {name_some(found.columns, 8)}, none of them a known name "
        "of patients or genes, and no id in rows or columns that the store knows; name the column "
        f"of patients with --id-column, or {REMEDY}"
    )


def _find_value(found: _Names, kind: str, but: tuple[int | None, ...], notes: list[str]) -> int:
    """The column of values of a long table, or of classes of a MAF."""
    if kind == "maf":
        at = found.first(CALL_NAMES)
        if at is None:
            found.refuse("wanted a column Variant_Classification for layout maf")
        return at
    there = [found.plain.index(name) for name in VALUE_NAMES if name in found.plain]
    if "value" in found.plain or len(there) == 1:
        return there[0]
    rest = found.others({at for at in but if at is not None}, OTHER_NAMES, [])
    if there or len(rest) != 1:
        found.refuse("wanted one column `value` (or Variant_Classification, for mutations)")
    notes.append(f"values from column {found.columns[rest[0]]}")
    return rest[0]
