"""Read columns of a label table that patients are grouped by: sex, stage, scanner, ..."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.labels.label_file import LabelFile, open_labels
from histo_ray.labels.label_layout import find_layout
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.slides.barcodes import cut_barcode
from histo_ray.slides.column_names import plain_name
from histo_ray.text import count_of, did_you_mean, name_some

MOST_GROUPS = 20
"""Different texts of a column that is to make groups."""
MOST_NUMBERS = 8
"""Different numbers of a column that are groups of their own; more are cut at their median."""


@dataclass(frozen=True)
class GroupColumn:
    """One column that patients are grouped by."""

    name: str
    """As it was asked for."""
    groups: dict[str, str]
    """Group by patient, as the label table calls them (barcodes cut to patients)."""
    notes: tuple[str, ...] = ()

    def group_of(self, patient_id: str) -> str:
        """Group of a patient of the store; empty: in none."""
        return self.groups.get(patient_id) or self.groups.get(cut_barcode(patient_id), "")


def read_group_columns(
    settings: LabelSettings, names: Sequence[str], known: Collection[str] = ()
) -> tuple[GroupColumn, ...]:
    """Read columns of the label table of `settings`.

    Args:
        settings: Where the labels are, and their layout.
        names: Columns, in any case.
        known: Patients that the store knows; they tell which layout the table has.

    Returns:
        Each column once. A patient without a value, or with several, is in no group. More than
        `MOST_NUMBERS` different numbers, as of age, become two groups, cut at their median.

    Raises:
        ConfigError: No such column, one with too many different texts, or a table whose rows are
            no patients.
    """
    if not names:
        return ()
    file = open_labels(settings.labels)
    layout = find_layout(file.columns, file.texts, settings, known, accepts_maf=True)
    if layout.ids is None:
        raise ConfigError(
            f"--subgroup {', '.join(names)}: labels {file.origin} have patients in columns, so no "
            "column says what a patient is; give a table with patients in rows"
        )
    patients = [cut_barcode(text) for text in file.texts(layout.ids)]
    found = {name: _find_column(file, name) for name in names}
    return tuple(_group(file, name, patients, at) for name, at in found.items())


def _find_column(file: LabelFile, name: str) -> int:
    if name in file.columns:
        return file.columns.index(name)
    plain = [plain_name(column) for column in file.columns]
    if plain_name(name) not in plain:
        raise ConfigError(
            f"--subgroup {name}: {file.origin} has no such column; its columns are "
            f"{name_some(file.columns, 12)}{did_you_mean(name, file.columns)}"
        )
    return plain.index(plain_name(name))


def _group(file: LabelFile, name: str, patients: Sequence[str], at: int) -> GroupColumn:
    values: dict[str, set[str]] = {}
    for patient, text in zip(patients, file.texts(at), strict=True):
        if patient and text:
            values.setdefault(patient, set()).add(text)
    several = sorted(patient for patient, texts in values.items() if len(texts) > 1)
    groups = {patient: min(texts) for patient, texts in values.items() if len(texts) == 1}
    notes = []
    if several:
        notes.append(
            f"column {name}: {count_of(len(several), 'patient')} with several values "
            f"({name_some(several)}) in no group"
        )
    different = set(groups.values())
    numbers = {text: _read_number(text) for text in different}
    if len(different) > MOST_NUMBERS and np.isfinite(list(numbers.values())).all():
        groups, note = _cut_at_median(name, groups)
        notes.append(note)
    elif len(different) > MOST_GROUPS:
        raise ConfigError(
            f"--subgroup {name}: {len(different)} different values in labels {file.origin} "
            f"({name_some(sorted(different), 3)}), too many for groups; use a column with at most "
            f"{MOST_GROUPS}"
        )
    return GroupColumn(name, groups, tuple(notes))


def _cut_at_median(name: str, groups: dict[str, str]) -> tuple[dict[str, str], str]:
    """Make two groups of numbers."""
    numbers = {patient: float(text) for patient, text in groups.items()}
    middle = float(np.median(list(numbers.values())))
    words = (f"up to {middle:g}", f"above {middle:g}")
    cut = {patient: words[number > middle] for patient, number in numbers.items()}
    return cut, f"column {name}: numbers, cut at their median {middle:g}"


def _read_number(text: str) -> float:
    """Read a number; nan for other text."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
