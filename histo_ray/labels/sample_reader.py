"""Read samples and genes from an opened label table, in whatever layout it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.errors import ConfigError
from histo_ray.labels.cells import Flags, Values, has_comma, is_numeral
from histo_ray.labels.genes import GeneList
from histo_ray.labels.label_columns import LISTED
from histo_ray.labels.label_file import LabelFile
from histo_ray.labels.label_layout import Layout
from histo_ray.labels.not_genes import find_not_genes
from histo_ray.labels.samples import How, SampleTable, merge_targets, reduce_cells
from histo_ray.labels.target_exclusions import ExcludedTarget, TargetExclusion
from histo_ray.text import count_of, name_some

Places = npt.NDArray[np.intp]
Column = tuple[str, pa.Array]

SHOWN_CELLS = 10
"""Cells that are refused, of which so many are named."""


@dataclass(frozen=True)
class CellKind:
    """What the cells of a table hold."""

    parse: Callable[[pa.Array, bool], tuple[Values, Flags]]
    """Takes cells and whether semicolons separate columns; gives values and flags of bad cells."""
    expected: str
    """What a cell should hold, in words, for messages."""
    how: How
    """What several values of one patient and gene become."""
    skips_text: bool
    """Whether a column of nothing but words is left out, as one that is no gene."""
    hint: Callable[[Sequence[str]], str] = lambda cells: ""
    """Says what bad cells look like instead, as a part of a sentence; empty where like nothing."""


class BadCell(NamedTuple):
    """A cell that does not hold what it should."""

    column: str
    row: str
    cell: str


def gather_samples(
    file: LabelFile, layout: Layout, gene_list: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[ExcludedTarget, ...]]:
    """Read samples and genes from a table.

    Args:
        file: The table.
        layout: Which of its columns says what.
        gene_list: Genes to be read; None: all.
        kind: What its cells hold.

    Returns:
        The samples; targets that were left out: names that are no genes (see `not_genes`), columns
        of words, and genes of `gene_list` that the table lacks.

    Raises:
        ConfigError: Cells that hold something else, all of them at once, or no gene left.
    """
    read = {
        "patients-in-rows": _read_rows,
        "genes-in-rows": _read_columns,
        "long": _read_long,
        "maf": _read_long,
    }[layout.kind]
    table, dropped = read(file, layout, gene_list, kind)
    if not table.samples or not table.targets:
        aside = f" (left out: {_describe_dropped(dropped)})" if dropped else ""
        raise ConfigError(
            f"labels {file.origin}: {count_of(len(table.samples), 'sample')} and "
            f"{count_of(len(table.targets), 'gene')} with values{aside}; check --labels-layout and "
            "--id-column, or name the columns to evaluate with --genes"
        )
    return table, dropped


def _read_rows(
    file: LabelFile, layout: Layout, gene_list: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[ExcludedTarget, ...]]:
    names = [file.columns[at] for at in layout.values]
    chosen, absent = _choose(names, gene_list, file.origin)
    patients = file.texts(_known(layout.ids))
    samples = patients if layout.samples is None else file.texts(layout.samples)
    columns = file.load([layout.values[at] for at in chosen])
    named = [(names[at], column) for at, column in zip(chosen, columns, strict=True)]
    skips = kind.skips_text and gene_list is None
    targets, values, words = _to_numbers(named, patients, kind, skips, file)
    targets, values, note = merge_targets(targets, values, kind.how)
    rows, notes = _with_names(patients, "row without a patient")
    table = SampleTable(
        tuple(samples[at] or patients[at] for at in rows),
        tuple(patients[at] for at in rows),
        tuple(targets),
        values[rows],
        tuple(text for text in (*_note_dropped((*absent, *words)), note, *notes) if text),
    )
    return table, (*absent, *words)


def _read_columns(
    file: LabelFile, layout: Layout, gene_list: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[ExcludedTarget, ...]]:
    genes = file.texts(_known(layout.genes))
    chosen, absent = _choose(genes, gene_list, file.origin)
    named, notes = _with_names([genes[at] for at in chosen], "row without a gene")
    rows = pa.array([chosen[at] for at in named], pa.int64())
    columns = [column.take(rows) for column in file.load(layout.values)]
    samples = [(file.columns[at], c) for at, c in zip(layout.values, columns, strict=True)]
    targets = [genes[chosen[at]] for at in named]
    names, values, words = _to_numbers(samples, targets, kind, kind.skips_text, file)
    if words:
        told = name_some([word.target for word in words], LISTED)
        notes.append(f"columns of words left out as no samples: {told}")
    notes += _note_dropped(absent)
    targets, merged, note = merge_targets(targets, values.T, kind.how)
    notes += [note] if note else []
    table = SampleTable(tuple(names), tuple(names), tuple(targets), merged, tuple(notes))
    return table, absent


def _read_long(
    file: LabelFile, layout: Layout, gene_list: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[ExcludedTarget, ...]]:
    places = [_known(layout.ids), _known(layout.genes), *layout.values]
    ids, genes, cells = file.load(places)
    (samples,) = (ids,) if layout.samples is None else file.load([layout.samples])
    patient, patients = _encode(ids)
    gene, names = _encode(genes)
    sample, sample_names = _encode(samples)
    chosen, absent = _choose(names, gene_list, file.origin)
    values, bad = kind.parse(cells, file.separator == ";")
    named = (patient >= 0) & (gene >= 0) & (sample >= 0)
    place = np.full(len(names) + 1, -1)
    place[chosen] = np.arange(len(chosen))
    used = named & (place[gene] >= 0)
    if (bad & used).any():
        wrong = [
            BadCell(names[gene[at]], patients[patient[at]], str(cells[at].as_py()))
            for at in np.flatnonzero(bad & used).tolist()
        ]
        _refuse(file.origin, wrong, kind)
    width = len(sample_names)
    pairs, row = np.unique(patient[named] * width + sample[named], return_inverse=True)
    rows = np.full(len(named), -1)
    rows[named] = row
    shape = (len(pairs), len(chosen))
    matrix = reduce_cells(rows[used], place[gene[used]], values[used], shape, kind.how)
    filled = np.bincount(rows[used] * shape[1] + place[gene[used]], minlength=1) > 0
    again = int(used.sum()) - int(filled.sum())
    notes = []
    if not named.all():
        notes.append(f"{count_of(int((~named).sum()), 'row')} without a patient or gene left out")
    if again:
        word = "averaged" if kind.how == "mean" else "merged"
        notes.append(
            f"{count_of(again, 'further row')} of a sample and gene that was there already: {word}"
        )
    table = SampleTable(
        tuple(sample_names[pair % width] for pair in pairs),
        tuple(patients[pair // width] for pair in pairs),
        tuple(names[at] for at in chosen),
        matrix,
        (*_note_dropped(absent), *notes),
    )
    return table, absent


def _known(at: int | None) -> int:
    if at is None:
        raise ValueError("layout without the place of a column that this kind needs")
    return at


def _encode(column: pa.Array) -> tuple[Places, list[str]]:
    """Encode names: number of each cell's name (N,), -1 where none; and the names, sorted."""
    coded = pc.utf8_trim_whitespace(column.cast(pa.string())).dictionary_encode()
    names = coded.dictionary.to_pylist()
    code = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    order = sorted((at for at, name in enumerate(names) if name), key=names.__getitem__)
    place = np.full(len(names) + 1, -1, np.intp)
    place[order] = np.arange(len(order))
    return place[code], [names[at] for at in order]


def _choose(
    names: Sequence[str], gene_list: GeneList | None, origin: str
) -> tuple[list[int], tuple[ExcludedTarget, ...]]:
    """Choose the genes that are read, in order; and name those left out or not there."""
    asked = set() if gene_list is None else set(gene_list.names)
    chosen = [at for at, name in enumerate(names) if gene_list is None or name in asked]
    if gene_list is not None and not chosen:
        raise ConfigError(
            f"labels {origin}: none of the {len(asked)} genes of {gene_list.origin} "
            f"({name_some(gene_list.names)}) is in the table, which has {name_some(names)}; use "
            "the same symbols, or another --genes"
        )
    aside = find_not_genes(names, asked)
    told = {names[at]: aside[at] for at in chosen if at in aside and names[at]}
    dropped = [ExcludedTarget(name, reason) for name, reason in told.items()]
    there = set(names)
    dropped += [
        ExcludedTarget(name, TargetExclusion.ABSENT)
        for name in (gene_list.names if gene_list else ())
        if name not in there
    ]
    return [at for at in chosen if at not in aside], tuple(dropped)


def _note_dropped(dropped: Sequence[ExcludedTarget]) -> list[str]:
    """Describe the names that were left out as no genes; without genes that the table lacks."""
    aside = [drop for drop in dropped if drop.reason is not TargetExclusion.ABSENT]
    if not aside:
        return []
    number = "1 name is" if len(aside) == 1 else f"{len(aside)} names are"
    what = "no gene" if len(aside) == 1 else "no genes"
    note = f"{number} set aside as {what}: {_describe_dropped(aside)}"
    reasons = {drop.reason for drop in aside}
    if reasons & {TargetExclusion.CLINICAL, TargetExclusion.COUNTER}:
        note += "; --genes evaluates clinical columns and counters that it names"
    if TargetExclusion.DATE in reasons:
        note += "; write the symbols again in place of dates, which may stand for several genes"
    return [note]


def _describe_dropped(dropped: Sequence[ExcludedTarget]) -> str:
    """Describe names by the reason why they were left out."""
    by_reason: dict[str, list[str]] = {}
    for drop in dropped:
        by_reason.setdefault(drop.text, []).append(drop.target)
    return "; ".join(f"{name_some(names, LISTED)} ({why})" for why, names in by_reason.items())


def _to_numbers(
    columns: Sequence[Column], rows: Sequence[str], kind: CellKind, skips: bool, file: LabelFile
) -> tuple[list[str], Values, tuple[ExcludedTarget, ...]]:
    """Parse columns to a matrix; and name the columns of words that were left out."""
    names, numbers, words = [], [], []
    wrong: list[BadCell] = []
    for name, column in columns:
        values, bad = kind.parse(column, file.separator == ";")
        if bad.any():
            places = np.flatnonzero(bad).tolist()
            cells = [str(column[at].as_py()) for at in places]
            if skips and not np.isfinite(values).any() and not any(map(is_numeral, cells)):
                words.append(
                    ExcludedTarget(name, TargetExclusion.WORDS, f"words, as in {cells[0][:30]!r}")
                )
                continue
            wrong += [
                BadCell(name, rows[at] or f"number {at + 1}, without a name", cell)
                for at, cell in zip(places, cells, strict=True)
            ]
        names.append(name)
        numbers.append(values)
    if wrong:
        _refuse(file.origin, wrong, kind)
    if not numbers:
        return [], np.empty((len(rows), 0)), tuple(words)
    return names, np.stack(numbers, axis=1), tuple(words)


def _with_names(names: Sequence[str], what: str) -> tuple[list[int], list[str]]:
    """Choose the rows that have a name; and note the others."""
    rows = [at for at, name in enumerate(names) if name]
    lost = len(names) - len(rows)
    word = what if lost == 1 else what.replace("row", "rows", 1)
    return rows, [f"{lost} {word} left out"] if lost else []


def _refuse(origin: str, wrong: Sequence[BadCell], kind: CellKind) -> NoReturn:
    """Refuse a table for all of its bad cells at once.

    Raises:
        ConfigError: Always.
    """
    shown = "; ".join(
        f"column {bad.column}, row {bad.row}: {bad.cell[:40]!r}" for bad in wrong[:SHOWN_CELLS]
    )
    more = f"; and {len(wrong) - SHOWN_CELLS} more" if len(wrong) > SHOWN_CELLS else ""
    columns = len({bad.column for bad in wrong})
    where = f" in {columns} columns" if columns > 1 else ""
    number = "1 cell is" if len(wrong) == 1 else f"{len(wrong)} cells are"
    cells = [bad.cell for bad in wrong]
    meant = kind.hint(cells)
    if meant:
        raise ConfigError(
            f"labels {origin}: {meant} ({number} not {kind.expected}{where}, as in "
            f"{name_some(list(dict.fromkeys(cells)), 3)})"
        )
    hint = ""
    if any(has_comma(bad.cell) for bad in wrong):
        hint = "a comma may be a decimal one or separate thousands: write decimal points; "
    raise ConfigError(
        f"labels {origin}: {number} not {kind.expected}{where}: {shown}{more}; {hint}correct "
        f"{'it' if len(wrong) == 1 else 'them'}, or choose other columns with --genes"
    )
