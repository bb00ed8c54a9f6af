"""Detect the layout of a label table (wide, long, MAF), unless the caller names it. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from histo_ray.errors import ConfigError
from histo_ray.labels.label_columns import (
    CALL_NAMES,
    GENE_NAMES,
    OTHER_NAMES,
    POSITION_NAMES,
    REMEDY,
    STATUS_NAMES,
    VALUE_NAMES,
    ColumnNames,
)
from histo_ray.labels.label_settings import LabelSettings, LayoutName
from histo_ray.labels.not_genes import is_index
from histo_ray.slides.barcodes import cut_barcode, parse_barcode
from histo_ray.slides.column_names import (
    PATIENT_NAMES,
    SAMPLE_NAMES,
    plain_name,
)
from histo_ray.text import count_of, name_some

LayoutKind = Literal["patients-in-rows", "genes-in-rows", "long", "maf"]


@dataclass(frozen=True)
class Layout:
    """Which column of a table holds what; columns are numbered from 0, as names may repeat."""

    kind: LayoutKind
    ids: int | None
    """Patients or samples; None where they are the names of columns."""
    samples: int | None
    """Samples, where `ids` are patients and this is known besides."""
    genes: int | None
    """Genes; None where they are the names of columns."""
    values: tuple[int, ...]
    """Wide: one column a gene or sample; long: the value; MAF: the class of a call."""
    notes: tuple[str, ...]
    status: int | None = None
    """MAF: Mutation_Status, where it has this column."""
    caveats: tuple[str, ...] = ()
    """Warnings that belong to every score from this table."""


def find_layout(
    columns: Sequence[str],
    texts: Callable[[int], Sequence[str]],
    settings: LabelSettings,
    known: Collection[str] = (),
    *,
    accepts_maf: bool,
) -> Layout:
    """Find the layout of a table, with notes on what it was found from.

    Patients and genes in columns of their own make a long table, or a MAF. Otherwise rows and
    column names are searched for TCGA barcodes and patients that the store knows; where neither or
    both have some, the names of columns decide, or the caller has to.

    Args:
        columns: Names of the columns.
        texts: Reads a column.
        settings: What the caller says of the table.
        known: Patients that the store knows.
        accepts_maf: Whether the table may be a list of mutation calls.

    Raises:
        ConfigError: A column that is named is not there, two columns of patients contradict each
            other, or the table can be read in two ways.
    """
    names = [plain_name(column) for column in columns]
    found = ColumnNames(settings.labels, tuple(columns), names)
    ids, samples = _find_ids(found, settings.id_column)
    patient_notes: list[str] = []
    if settings.id_column is None and settings.labels_layout != "genes-in-rows":
        patient_notes = _compare_patients(found, texts)
    genes = found.first(GENE_NAMES)
    kind, side, note = _choose_kind(found, texts, settings.labels_layout, (ids, genes), known)
    notes = [f"layout {kind}: {note}"]
    if kind == "maf" and not accepts_maf:
        raise ConfigError(
            f"labels {settings.labels}: this is a list of mutation calls (a MAF), not of "
            "expression; use it with evaluate mutation, or give another table"
        )
    if kind in ("long", "maf"):
        if ids is None or genes is None:
            found.refuse(f"layout {kind} needs a column of patients and one of genes")
        values: tuple[int, ...] = (_find_value(found, kind, (ids, samples, genes), notes),)
    elif kind == "genes-in-rows":
        genes = genes if genes is not None else side
        ids = samples = None
        values = found.others({genes}, (*GENE_NAMES, *OTHER_NAMES, *POSITION_NAMES), notes)
    else:
        ids = ids if ids is not None else side
        genes = None
        apart = (*PATIENT_NAMES, *SAMPLE_NAMES, *OTHER_NAMES)
        values = found.others({ids}, apart, notes)
    if not values:
        found.refuse("there is no column of labels beside the ids")
    for what, at in (("patients", ids), ("samples", samples), ("genes", genes)):
        if at is not None:
            notes.append(f"{what} from column {columns[at] or at + 1}")
    caveats = () if kind == "genes-in-rows" else _find_repeats(found, texts, ids)
    status = found.first(STATUS_NAMES) if kind == "maf" else None
    notes += patient_notes if kind != "genes-in-rows" else []
    return Layout(kind, ids, samples, genes, values, tuple(notes), status, caveats)


def _choose_kind(
    found: ColumnNames,
    texts: Callable[[int], Sequence[str]],
    asked: LayoutName,
    places: tuple[int | None, int | None],
    known: Collection[str],
) -> tuple[LayoutKind, int, str]:
    """Choose the kind of a layout.

    Args:
        found: Names of the columns.
        texts: Reads a column.
        asked: Layout that the caller names, or `auto`.
        places: Columns of ids and of genes, as far as their names tell.
        known: Patients that the store knows.

    Returns:
        The kind; the column of ids or genes of a wide table without a name for it; and what the
        kind was found from.
    """
    ids, genes = places
    side = _first_column(found, texts)
    if asked != "auto":
        return asked, side, "as told"
    if ids is not None and genes is not None:
        kind: LayoutKind = "long" if found.first(CALL_NAMES) is None else "maf"
        return kind, side, "found from the names of its columns"
    side = next((at for at in (ids, genes) if at is not None), side)
    wide, note = _find_side(found, texts, (side, ids, genes), known)
    return wide, side, note


def _find_ids(found: ColumnNames, given: str | None) -> tuple[int | None, int | None]:
    """Find the columns of patients (or else samples), and of samples beside them."""
    samples = found.first(SAMPLE_NAMES)
    if given is None:
        patients = found.first(PATIENT_NAMES)
        return (samples, None) if patients is None else (patients, samples)
    if given not in found.columns:
        raise ConfigError(
            f"labels {found.origin}: no column {given}, which --id-column names; its columns are "
            f"{name_some(found.columns, 8)}"
        )
    ids = found.columns.index(given)
    return ids, None if samples == ids else samples


def _first_column(found: ColumnNames, texts: Callable[[int], Sequence[str]]) -> int:
    """Find the first column that does not number the rows, as pandas' index does."""
    for at, column in enumerate(found.columns):
        if not is_index(column) or not _counts_rows(texts(at)):
            return at
    return 0


def _counts_rows(cells: Sequence[str]) -> bool:
    numbers = [cell.removesuffix(".0") for cell in cells]
    first = numbers[0] if numbers else ""
    if first not in ("0", "1"):
        return False
    return numbers == [str(int(first) + at) for at in range(len(numbers))]


def _compare_patients(found: ColumnNames, texts: Callable[[int], Sequence[str]]) -> list[str]:
    """Compare columns of patients; refuse a disagreement where none has the documented name.

    Columns agree where they put the same rows together, as UUIDs and barcodes of patients do.
    """
    places = [found.plain.index(name) for name in PATIENT_NAMES if name in found.plain]
    if len(places) < 2:
        return []
    first, notes = places[0], []
    cells = [cut_barcode(cell) for cell in texts(first)]
    for other in places[1:]:
        wrong = _differ_in_groups(cells, [cut_barcode(cell) for cell in texts(other)])
        if not wrong:
            continue
        one, two = found.columns[first], found.columns[other]
        told = (
            f"columns {one} and {two} both name patients and group {len(wrong)} rows differently "
            f"(as {name_some(wrong, 3)} of {one})"
        )
        if found.plain[first] != "patientid":
            raise ConfigError(
                f"labels {found.origin}: {told}; say which is right with --id-column {one} or "
                f"--id-column {two}"
            )
        notes.append(f"{told}: {one} is read")
    return notes


def _differ_in_groups(one: Sequence[str], two: Sequence[str]) -> list[str]:
    """Find the cells of `one` in rows that the other list groups otherwise."""
    wrong: dict[int, str] = {}
    for a, b in ((one, two), (two, one)):
        partners: defaultdict[str, set[str]] = defaultdict(set)
        for left, right in zip(a, b, strict=True):
            if left and right:
                partners[left].add(right)
        for at, (left, right) in enumerate(zip(a, b, strict=True)):
            if right and len(partners[left]) > 1:
                wrong[at] = one[at]
    return [wrong[at] for at in sorted(wrong)]


def _find_repeats(
    found: ColumnNames, texts: Callable[[int], Sequence[str]], ids: int | None
) -> tuple[str, ...]:
    """Find ids that another column assigns to one patient; a caveat for each case."""
    patients = found.first(PATIENT_NAMES)
    if ids is None or patients is None or patients == ids:
        return ()
    own: defaultdict[str, set[str]] = defaultdict(set)
    for patient, name in zip(texts(patients), texts(ids), strict=True):
        if patient and name:
            own[cut_barcode(patient)].add(cut_barcode(name))
    repeated = {patient: names for patient, names in own.items() if len(names) > 1}
    if not repeated:
        return ()
    patient, names = min(repeated.items())
    whose, ids_name = found.columns[patients], found.columns[ids]
    return (
        f"{count_of(len(repeated), 'patient')} of column {whose} with several ids in column "
        f"{ids_name} ({patient}: {name_some(sorted(names), 3)}): where the store, too, calls its "
        f"patients so, folds put one patient into training and test; name patients by {whose} in "
        "the manifest and leave --id-column out",
    )


def _find_side(
    found: ColumnNames,
    texts: Callable[[int], Sequence[str]],
    places: tuple[int, int | None, int | None],
    known: Collection[str],
) -> tuple[Literal["patients-in-rows", "genes-in-rows"], str]:
    """Find whether patients are in rows or columns of a wide table, and why.

    Args:
        found: Names of the columns.
        texts: Reads a column.
        places: The column of ids or genes that is looked at, then those of ids and of genes as far
            as their names tell.
        known: Patients that the store knows.
    """
    patients = {cut_barcode(patient) for patient in known}

    def count_known(names: Iterable[str]) -> tuple[int, int]:
        seen = list(names)
        return sum(cut_barcode(n) in patients or parse_barcode(n) is not None for n in seen), len(
            seen
        )

    side, ids, genes = places
    in_rows, rows = count_known(texts(side))
    in_columns, columns = count_known(n for at, n in enumerate(found.columns) if at != side)
    name = found.columns[side] or f"number {side + 1}"
    by_rows = f"{in_rows} of {rows} cells of column {name}"
    by_columns = f"{in_columns} of {columns} names of columns"
    if in_rows and in_columns:
        raise ConfigError(
            f"labels {found.origin}: {by_rows} and {by_columns} are patients or barcodes, so "
            f"patients may be in rows or in columns; {REMEDY}"
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


def _find_value(
    found: ColumnNames, kind: str, but: tuple[int | None, ...], notes: list[str]
) -> int:
    """Find the column of values of a long table, or of classes of a MAF."""
    if kind == "maf":
        at = found.first(CALL_NAMES)
        if at is None:
            found.refuse("layout maf needs a column Variant_Classification")
        return at
    there = [found.plain.index(name) for name in VALUE_NAMES if name in found.plain]
    if "value" in found.plain or len(there) == 1:
        return there[0]
    rest = found.others({at for at in but if at is not None}, OTHER_NAMES, [])
    if there or len(rest) != 1:
        found.refuse(
            "a long table needs one column `value` (or Variant_Classification, for mutations)"
        )
    notes.append(f"values from column {found.columns[rest[0]]}")
    return rest[0]
