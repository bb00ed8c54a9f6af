"""Merge samples to one row a patient. Pure: numpy in, numpy out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.slides.barcodes import NOT_TUMOUR, PRIMARY, cut_barcode, parse_barcode
from histo_ray.text import count_of, name_some

Values = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
How = Literal["mean", "any"]
"""How several measurements of one cell are merged: their mean, or 1 if one of them is 1."""


@dataclass(frozen=True)
class SampleTable:
    """Measurements of samples, one row a sample."""

    samples: tuple[str, ...]
    """(N,) as the file calls them; some may be there several times."""
    patients: tuple[str, ...]
    """(N,) whose they are."""
    targets: tuple[str, ...]
    """(T,) genes, unique."""
    values: Values
    """(N, T); nan: missing."""
    notes: tuple[str, ...] = ()


def reduce_cells(
    rows: Places, columns: Places, values: Values, shape: tuple[int, int], how: How
) -> Values:
    """Reduce measurements, each of one cell, to a matrix.

    Args:
        rows: (M,) row of each measurement.
        columns: (M,) its column.
        values: (M,) what was measured; those that are not finite do not count.
        shape: Rows and columns of the matrix.
        how: What several measurements of one cell become.

    Returns:
        Matrix of that shape; nan where nothing counts.
    """
    fine = np.isfinite(values)
    cell = rows[fine] * shape[1] + columns[fine]
    size = shape[0] * shape[1]
    sums = np.bincount(cell, weights=values[fine], minlength=size).astype(np.float64)
    counts = np.bincount(cell, minlength=size)
    return _finish(sums, counts, how).reshape(shape)


def merge_rows(values: Values, group: Places, how: How) -> Values:
    """Merge the rows of each group.

    Args:
        values: (N, T); what is not finite does not count.
        group: (N,) group of each row, 0..G-1, none of them without rows.
        how: What several values become.

    Returns:
        (G, T); nan where nothing counts.
    """
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    fine = np.isfinite(values[order])
    sums = np.add.reduceat(np.where(fine, values[order], 0.0), starts, axis=0)
    return _finish(sums, np.add.reduceat(fine.astype(np.intp), starts, axis=0), how)


def merge_targets(names: Sequence[str], values: Values, how: How) -> tuple[list[str], Values, str]:
    """Merge columns of one name.

    Args:
        names: (T,) genes; some may repeat.
        values: (N, T).
        how: What several columns become.

    Returns:
        Names in order of their first column, (N, U) values, and a note; empty if none repeats.
    """
    unique = list(dict.fromkeys(names))
    if len(unique) == len(names):
        return unique, values, ""
    place = {name: at for at, name in enumerate(unique)}
    group = np.array([place[name] for name in names], np.intp)
    twice = [name for name, n in zip(unique, np.bincount(group), strict=True) if n > 1]
    word = "averaged" if how == "mean" else "mutated if one entry is"
    note = f"{count_of(len(twice), 'gene')} with several entries: {word} ({name_some(twice)})"
    return unique, merge_rows(values.T, group, how).T, note


def merge_samples(
    table: SampleTable, how: How, origin: str
) -> tuple[tuple[str, ...], Values, tuple[str, ...]]:
    """Merge samples to one row a patient: primary tumours if there are some, else other tumours.

    TCGA barcodes are cut to patients, and say which samples are normal tissue or controls: these
    are left out. Several samples of one patient are merged.

    Args:
        table: Samples.
        how: What several samples of a patient become.
        origin: Where the table came from, for messages.

    Returns:
        (P,) patients, sorted; (P, T) values, nan where missing; what was done, in words.

    Raises:
        ConfigError: Rows of one name that contradict each other, or no tumour at all.
    """
    patients = [cut_barcode(patient) for patient in table.patients]
    notes = list(table.notes)
    if patients != list(table.patients):
        notes.append("TCGA barcodes cut to patients")
    kept, told = _choose_samples(table.samples, patients)
    if not len(kept):
        raise ConfigError(
            f"labels {origin}: {count_of(len(patients), 'sample')}, all of normal tissue or "
            "controls by their barcodes; give a table with tumour samples"
        )
    notes += told
    values = table.values[kept]
    values = np.where(np.isfinite(values), values, np.nan)
    infinite = int((~np.isfinite(table.values[kept]) & ~np.isnan(table.values[kept])).sum())
    if infinite:
        notes.append(f"{count_of(infinite, 'infinite value')} taken as missing")
    samples = [table.samples[at] for at in kept]
    notes += _check_repeated(samples, table.targets, values, origin)
    names, group = np.unique([patients[at] for at in kept], return_inverse=True)
    unique = {(patients[at], table.samples[at]) for at in kept}
    several = len(unique) - len({patient for patient, _ in unique})
    if several:
        counts = np.unique([patient for patient, _ in unique], return_counts=True)[1]
        word = "averaged" if how == "mean" else "mutated if one sample is"
        notes.append(f"{count_of(int((counts > 1).sum()), 'patient')} with several samples: {word}")
    return tuple(str(name) for name in names), merge_rows(values, group, how), tuple(notes)


def _finish(sums: Values, counts: Places, how: How) -> Values:
    merged = np.full(sums.shape, np.nan)
    if how == "any":
        merged[counts > 0] = sums[counts > 0] > 0
        return merged
    np.divide(sums, counts, out=merged, where=counts > 0)
    return merged


def _choose_samples(samples: Sequence[str], patients: Sequence[str]) -> tuple[Places, list[str]]:
    """Choose the samples that count, and note the others."""
    barcodes = [parse_barcode(sample) for sample in samples]
    kinds = [None if barcode is None else barcode.sample_type for barcode in barcodes]
    tumour = [kind not in NOT_TUMOUR for kind in kinds]
    primary = {p for p, kind in zip(patients, kinds, strict=True) if kind in PRIMARY}
    later = [
        kind is not None and ok and kind not in PRIMARY and patient in primary
        for kind, ok, patient in zip(kinds, tumour, patients, strict=True)
    ]
    notes = []
    if not all(tumour):
        notes.append(
            f"{count_of(tumour.count(False), 'sample')} of normal tissue or controls left out"
        )
    if any(later):
        notes.append(
            f"{count_of(later.count(True), 'sample')} of recurrent or metastatic tumours left out, "
            "their patients have primary ones"
        )
    return np.flatnonzero(np.array(tumour, bool) & ~np.array(later, bool)), notes


def _check_repeated(
    samples: Sequence[str], targets: Sequence[str], values: Values, origin: str
) -> list[str]:
    """Note samples that occur several times and agree; refuse those that disagree."""
    names, group = np.unique(samples, return_inverse=True)
    if len(names) == len(samples):
        return []
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    lowest = np.fmin.reduceat(values[order], starts, axis=0)  # these pass over nan
    highest = np.fmax.reduceat(values[order], starts, axis=0)
    differs = lowest < highest  # (ids, targets)
    wrong = [str(name) for name in names[differs.any(axis=1)]]
    if wrong:
        columns = [
            f"{target} ({count_of(number, 'id')})"
            for target, number in zip(targets, differs.sum(axis=0).tolist(), strict=True)
            if number
        ]
        raise ConfigError(
            f"labels {origin}: {count_of(len(wrong), 'id')} in several rows with different values "
            f"({name_some(wrong)}), in {'column' if len(columns) == 1 else 'columns'} "
            f"{name_some(columns)}; keep one row for each id, or leave these columns out by naming "
            "the genes with --genes"
        )
    repeated = int((np.bincount(group) > 1).sum())
    return [f"{count_of(repeated, 'id')} more than once, with the same values"]
