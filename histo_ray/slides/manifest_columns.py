"""Finds the columns of a manifest. Pure.

Names are those of `column_names`. Several columns for one thing are no problem while they agree;
where they do not, a column with the documented name is read and the other one is told, and without
such a column the manifest is refused.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from histo_ray.slides.column_names import (
    FILE_NAMES,
    MPP_NAMES,
    PATH_NAMES,
    PATIENT_NAMES,
    SITE_NAMES,
    SLIDE_NAMES,
    SYNTHETIC_NAMES,
    find_columns,
    looks_like_patient,
    plain_name,
)
from histo_ray.slides.table import TableRow

SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".czi", ".vsi"}
    | {".svslide", ".dcm", ".png", ".jpg", ".jpeg", ".h5", ".pt", ".ome", ".qptiff", ".isyntax"}
)
"""Taken off where a file's name becomes a slide_id."""

NO_NAMES = frozenset({"na", "n/a", "#n/a", "nan", "<na>", "null", "none"})
"""Cells that stand for a missing name, in any case."""

Row = TableRow


@dataclass(frozen=True)
class ManifestColumns:
    """Columns of a manifest by their role; None where there is none."""

    slide_id: str | None
    path: str | None
    patient_id: str | None
    site: str | None
    mpp: str | None
    synthetic: str | None
    from_files: bool
    """Whether `slide_id` names files, whose folder and suffix are no part of the id."""
    notes: tuple[str, ...]
    """What a reader of the manifest should know of this."""
    conflicts: tuple[str, ...]
    """Columns that contradict each other, without a documented name that decides."""

    @property
    def used(self) -> frozenset[str]:
        """All columns that are read."""
        named = (self.slide_id, self.path, self.patient_id, self.site, self.mpp)
        return frozenset(name for name in named if name is not None)

    def slide_of(self, row: Row) -> str:
        """The slide_id of a row; empty if it has none."""
        text = cell_text(row, self.slide_id)
        return name_of_file(text) if self.from_files else text


def find_manifest_columns(
    columns: Sequence[str], rows: Sequence[Row], unit: str
) -> ManifestColumns:
    """Find the columns of slide, path, patient, site, mpp and the mark `synthetic`.

    Args:
        columns: The header.
        rows: All rows; they tell whether two columns with one meaning agree.
        unit: What the number of a row counts (`line` or `row`), for messages.
    """
    notes: list[str] = []
    conflicts: list[str] = []

    def choose(role: str, names: Sequence[str], differ: "Differ" = _differ_in_text) -> str | None:
        found = find_columns(columns, names)
        if not found:
            return None
        first, *others = found
        if first != role:
            notes.append(f"{role} is read from column {first}")
        for other in others:
            text, decided = _compare(role, (first, other), rows, unit, differ)
            if text:
                (notes if decided else conflicts).append(text)
        return first

    files = find_columns(columns, FILE_NAMES)
    slide = choose("slide_id", SLIDE_NAMES)
    path = choose("path", PATH_NAMES)
    from_files = slide is None and bool(files)
    if from_files:
        slide = files[0]
        notes.append(f"slide_id is the name of the file in column {slide}, without its suffix")
    if path is None and files:
        path = files[0]
        notes.append(f"path is read from column {path}")
    patient = choose("patient_id", PATIENT_NAMES, _differ_in_groups)
    alike = [name for name in columns if looks_like_patient(name)]
    if patient is None and alike:
        notes.append(
            f"no column patient_id; {' and '.join(alike)} may be one: name it patient_id if it is"
        )
    return ManifestColumns(
        slide_id=slide,
        path=path,
        patient_id=patient,
        site=choose("site", SITE_NAMES),
        mpp=choose("mpp", MPP_NAMES, _differ_in_number),
        synthetic=choose("synthetic", SYNTHETIC_NAMES),
        from_files=from_files,
        notes=tuple(notes),
        conflicts=tuple(conflicts),
    )


def _compare(
    role: str, pair: tuple[str, str], rows: Sequence[Row], unit: str, differ: "Differ"
) -> tuple[str, bool]:
    """Compare two columns of one role.

    Returns:
        What to say of them, empty if they agree; and whether it is clear that the first is read.
    """
    first, other = pair
    wrong = differ(rows, first, other)
    if not wrong:
        if not _differ_in_text(rows, first, other):
            return "", True
        return (
            f"columns {first} and {other} both name the {_WORDS[role]}, by other names "
            f"but alike in which rows belong together: {first} is read"
        ), True
    where = f"{unit} {wrong[0].number}: {first} {wrong[0].values.get(first)!r}, "
    where += f"{other} {wrong[0].values.get(other)!r}"
    disagree = (
        f"columns {first} and {other} both name the {_WORDS[role]} and disagree in "
        f"{_count(len(wrong), 'row')} ({where})"
    )
    if plain_name(first) == plain_name(role) != plain_name(other):
        return f"{disagree}: {first} is read", True
    return f"{disagree}; name the right one {role} and remove or rename the other", False


def cell_text(row: Row, column: str | None) -> str:
    """A cell without blanks around it; empty where there is no column or no value."""
    value = None if column is None else row.values.get(column)
    return "" if value is None or value != value else str(value).strip()  # nan


def cell_name(row: Row, column: str | None) -> str:
    """As `cell_text`, for names of patients and sites: what pandas or R write for none is none."""
    text = cell_text(row, column)
    return "" if text.lower() in NO_NAMES else text


def name_of_file(text: str) -> str:
    """The name of a slide's file without folder and without suffixes that slides have."""
    path = PurePosixPath(text.replace("\\", "/"))
    while path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return path.name


def parse_mpp(value: Any) -> float | None:
    """A cell of the column mpp as a number; None where it is empty or none."""
    try:
        return None if value is None or value == "" else float(value)
    except (TypeError, ValueError):
        return None


Differ = Callable[[Sequence[Row], str, str], list[Row]]
_WORDS = {
    "slide_id": "slide",
    "path": "file",
    "patient_id": "patient",
    "site": "site",
    "mpp": "resolution",
    "synthetic": "mark of synthetic slides",
}


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _differ_in_text(rows: Sequence[Row], first: str, other: str) -> list[Row]:
    """Rows whose cells differ, where both have some."""
    return [
        row
        for row in rows
        if (one := cell_text(row, first)) and (two := cell_text(row, other)) and one != two
    ]


def _differ_in_number(rows: Sequence[Row], first: str, other: str) -> list[Row]:
    return [
        row
        for row in _differ_in_text(rows, first, other)
        if parse_mpp(row.values.get(first)) != parse_mpp(row.values.get(other))
    ]


def _differ_in_groups(rows: Sequence[Row], first: str, other: str) -> list[Row]:
    """Rows that one column puts together with others and the other column does not.

    So the UUIDs and the barcodes of the same patients agree.
    """
    wrong: dict[int, Row] = {}
    for row in rows:
        if cell_name(row, other) and not cell_name(row, first):  # a name that would be lost
            wrong[row.number] = row
    for a, b in ((first, other), (other, first)):
        partners: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            if cell_name(row, a) and cell_name(row, b):
                partners[cell_name(row, a)].add(cell_name(row, b))
        for row in rows:
            if cell_name(row, b) and len(partners[cell_name(row, a)]) > 1:
                wrong[row.number] = row
    return [wrong[number] for number in sorted(wrong)]
