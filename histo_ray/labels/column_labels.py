"""Read any columns of a label table, or of a store's manifest, as labels of patients."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.errors import ConfigError
from histo_ray.labels.cells import MISSING, parse_numbers
from histo_ray.labels.column_kinds import ReadColumn, read_column
from histo_ray.labels.column_wishes import ColumnWishes
from histo_ray.labels.label_file import LabelFile, open_labels
from histo_ray.labels.label_layout import find_layout
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.slides.barcodes import NOT_TUMOUR, cut_barcode, parse_barcode
from histo_ray.slides.column_names import (
    PATIENT_NAMES,
    SAMPLE_NAMES,
    SLIDE_NAMES,
    find_columns,
    plain_name,
)
from histo_ray.text import count_of, did_you_mean, name_some
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
MANIFEST = "the store's manifest"
"""Origin of labels that are columns of the manifest."""
_OF_SLIDES = (
    " beside those that extract reads itself (site, patient_id, ...); to predict one of these, "
    "give the manifest with --labels"
)


@dataclass(frozen=True)
class ColumnRows:
    """Rows of a table whose columns may be labels."""

    origin: str
    digest: str
    patients: tuple[str, ...]
    """(N,) patient of each row; an empty name: the row has none."""
    columns: tuple[str, ...]
    read: Callable[[str], tuple[list[str], Floats]]
    """(name of a column) -> (N,) text, empty where missing; (N,) the same as numbers, or nan."""
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    lacking: str = ""
    """Why a column may not be there, for messages."""


def read_columns(
    rows: ColumnRows, wishes: Mapping[str, ColumnWishes], *, lenient: bool = False
) -> LabelTable:
    """Read columns as labels, a row a patient.

    A patient whose rows disagree in a column has no label there; a caveat counts them.

    Args:
        rows: Of the table.
        wishes: What the caller says of each column, by its name.
        lenient: Whether columns that are not there are left out, and not refused.

    Raises:
        ConfigError: No such column, or one of which nobody can tell what it holds.
    """
    there = np.array([bool(patient) for patient in rows.patients], bool)
    people, group = np.unique(
        [patient for patient in rows.patients if patient], return_inverse=True
    )
    found: list[ReadColumn] = []
    caveats = list(rows.caveats)
    merged = []
    for asked, wish in wishes.items():
        name = _find_column(rows, asked, lenient=lenient)
        if name is None:
            continue
        cells, numbers = rows.read(name)
        kept = [cell if here else "" for cell, here in zip(cells, there.tolist(), strict=True)]
        one = read_column(asked, kept, np.where(there, numbers, np.nan), wish, rows.origin)
        values, apart = _merge_rows(one.values[there], group, len(people))
        if apart.any():
            names = people[apart].tolist()
            caveats.append(
                f"column {asked}: {count_of(len(names), 'patient')} with rows or slides of "
                f"different values set aside ({name_some(names)})"
            )
        found.append(one)
        merged.append(values)
    if not found:
        raise ConfigError(
            f"labels {rows.origin}: none of the columns {name_some([*wishes])} is there; it has "
            f"{name_some(rows.columns, 12)}"
        )
    return _make_table(rows, people.tolist(), found, merged, caveats)


def _make_table(
    rows: ColumnRows,
    people: Sequence[str],
    found: Sequence[ReadColumn],
    merged: Sequence[Floats],
    caveats: Sequence[str],
) -> LabelTable:
    """Make the table of columns that were read, each (P,) a patient."""
    return LabelTable(
        tuple(people),
        tuple(one.column.name for one in found),
        np.stack(merged, axis=1),
        (),
        rows.digest,
        rows.origin,
        (*rows.notes, *(note for one in found for note in one.notes)),
        tuple(caveats),
        kind=found[0].column.kind,
        columns=tuple(one.column for one in found),
        noun="column",
    )


def open_column_file(
    settings: LabelSettings, known: Collection[str], slides: Mapping[str, str]
) -> ColumnRows:
    """Open a label file whose rows are patients, samples or slides.

    Args:
        settings: Where it is, and its columns of ids.
        known: Patients that the store knows.
        slides: Patient of each slide of the store, by slide_id: for files that name slides alone.

    Raises:
        ConfigError: It cannot be read, or its rows are no patients.
    """
    file = open_labels(settings.labels)
    by_slide = _find_slides(file, settings, slides)
    if by_slide is not None:
        patients, notes = _name_patients(file, by_slide, slides)
        return ColumnRows(file.origin, file.digest, patients, file.columns, _read_file(file), notes)
    layout = find_layout(file.columns, file.texts, settings, known, accepts_maf=True)
    if layout.ids is None:
        raise ConfigError(
            f"labels {file.origin}: patients are in columns, but evaluate label reads columns of "
            "patients' labels; give a table with a row a patient"
        )
    texts = file.texts(layout.ids)
    samples = texts if layout.samples is None else file.texts(layout.samples)
    barcodes = [parse_barcode(sample) for sample in samples]
    normal = [one is not None and one.sample_type in NOT_TUMOUR for one in barcodes]
    owners = ["" if no else cut_barcode(text) for text, no in zip(texts, normal, strict=True)]
    of_labels = [note for note in layout.notes if not note.startswith("columns left out")]
    notes = tuple(of_labels)
    if any(normal):
        count = count_of(sum(normal), "sample")
        notes = (*notes, f"{count} of normal tissue or controls left out")
    return ColumnRows(
        file.origin,
        file.digest,
        tuple(owners),
        file.columns,
        _read_file(file),
        notes,
        layout.caveats,
    )


def open_manifest_columns(
    stated: Mapping[str, Mapping[str, str]], slides: Mapping[str, str], store: str
) -> ColumnRows:
    """Open the columns that the newest manifest of a store has beside those of slides.

    Args:
        stated: Cells by column, by slide_id.
        slides: Patient of each slide of the store, by slide_id.
        store: Path or URI, for messages.

    Raises:
        ConfigError: The store keeps none.
    """
    rows = {slide: stated[slide] for slide in sorted(stated) if slide in slides}
    columns = tuple(dict.fromkeys(name for cells in rows.values() for name in cells))
    if not columns:
        raise ConfigError(
            f"--labels is left out, but store {store} keeps no further columns of its manifest "
            "(those of slides extracted before 0.5.0 were not kept, and the same extract command "
            "keeps them now); give the manifest itself, or another table, with --labels"
        )

    def read(name: str) -> tuple[list[str], Floats]:
        return _parse(pa.array([cells.get(name, "") for cells in rows.values()], pa.string()))

    text = json.dumps(rows, sort_keys=True, ensure_ascii=False).encode()
    return ColumnRows(
        MANIFEST,
        hashlib.sha256(text).hexdigest(),
        tuple(cut_barcode(slides[slide]) for slide in rows),
        columns,
        read,
        lacking=_OF_SLIDES,
    )


def _find_slides(file: LabelFile, settings: LabelSettings, slides: Mapping[str, str]) -> int | None:
    """Find the column of slides, where a file names no patients or --id-column names slides."""
    if settings.id_column is not None:
        if settings.id_column not in file.columns:
            return None
        at = file.columns.index(settings.id_column)
        named = plain_name(settings.id_column) in SLIDE_NAMES
        return at if named or any(text in slides for text in file.texts(at)) else None
    if find_columns(file.columns, (*PATIENT_NAMES, *SAMPLE_NAMES)):
        return None
    found = find_columns(file.columns, SLIDE_NAMES)
    return file.columns.index(found[0]) if found else None


def _name_patients(
    file: LabelFile, at: int, slides: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the patient of each row by its slide."""
    names = file.texts(at)
    patients = tuple(cut_barcode(slides[name]) if name in slides else "" for name in names)
    lost = [name for name, patient in zip(names, patients, strict=True) if name and not patient]
    if not any(patients):
        raise ConfigError(
            f"labels {file.origin}: none of the slides of column {file.columns[at]} "
            f"({name_some(names, 3)}) is in the store; name patients in a column patient_id, or "
            "slides as the store calls them"
        )
    notes = [f"patients by the slides of column {file.columns[at]}"]
    if lost:
        notes.append(f"{count_of(len(lost), 'row')} of slides that the store lacks left out")
    return patients, tuple(notes)


def _find_column(rows: ColumnRows, asked: str, *, lenient: bool) -> str | None:
    if asked in rows.columns:
        return asked
    plain = [plain_name(column) for column in rows.columns]
    if plain_name(asked) in plain:
        return rows.columns[plain.index(plain_name(asked))]
    if lenient:
        return None
    raise ConfigError(
        f"--column {asked}: {rows.origin} has no such column{rows.lacking}; its columns are "
        f"{name_some(rows.columns, 12)}{did_you_mean(asked, rows.columns)}"
    )


def _read_file(file: LabelFile) -> Callable[[str], tuple[list[str], Floats]]:
    def read(name: str) -> tuple[list[str], Floats]:
        (column,) = file.load([file.columns.index(name)])
        return _parse(column, semicolons=file.separator == ";")

    return read


def _parse(column: pa.Array, *, semicolons: bool = False) -> tuple[list[str], Floats]:
    """Text of each cell, empty where missing, and its number."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        column = column.cast(pa.string())
    numbers, _ = parse_numbers(column, semicolons)
    texts = ["" if cell is None else str(cell).strip() for cell in column.to_pylist()]
    cells = ["" if text in MISSING else text for text in texts]
    return cells, np.where([bool(cell) for cell in cells], numbers, np.nan)


def _merge_rows(
    values: Floats, group: npt.NDArray[np.intp], count: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Value of each patient, nan where there is none or several; and which have several, (P,)."""
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    known = ~np.isnan(values)
    np.minimum.at(lowest, group[known], values[known])
    np.maximum.at(highest, group[known], values[known])
    apart = lowest < highest
    return np.where(lowest == highest, lowest, np.nan), apart


def count_classes(labels: LabelTable) -> list[str]:
    """Describe each column: kind, the rule that found it, and how many patients each class has."""
    lines = []
    for column, values in zip(labels.columns, labels.values.T, strict=True):
        known = values[~np.isnan(values)]
        if column.kind is TargetKind.CONTINUOUS:
            spread = (
                f"{known.min():g} to {known.max():g}, median {np.median(known):g}"
                if len(known)
                else "none"
            )
            told = f"{count_of(len(known), 'patient')}, {spread}"
        else:
            counts = [int((known == at).sum()) for at in range(len(column.classes))]
            between = " < " if column.kind is TargetKind.ORDINAL else ", "
            told = between.join(
                f"{name} {number}" for name, number in zip(column.classes, counts, strict=True)
            )
        lines.append(f"column {column.name}: {column.kind} ({column.rule}): {told}")
    return lines


def summarise_counts(values: Sequence[float], n_classes: int) -> tuple[int, ...]:
    """Count the patients of each class, (K,)."""
    numbers = np.asarray(values, np.float64)
    return tuple(int((numbers == at).sum()) for at in range(n_classes))
