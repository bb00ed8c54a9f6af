"""Takes the labels out of an opened table, whichever way round it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.cohort.cells import Flags, Values
from histo_ray.cohort.folds import name_some
from histo_ray.cohort.genes import GeneList
from histo_ray.cohort.label_file import LabelFile
from histo_ray.cohort.labels import Dropped, count
from histo_ray.cohort.layout import Layout
from histo_ray.cohort.samples import How, SampleTable, merge_targets, reduce_cells
from histo_ray.errors import ConfigError

Places = npt.NDArray[np.intp]
Column = tuple[str, pa.Array]


@dataclass(frozen=True)
class CellKind:
    """What the cells of a table hold."""

    parse: Callable[[pa.Array], tuple[Values, Flags]]
    wanted: str
    """In words, for messages."""
    how: How
    """What several values of one patient and gene become."""
    skips_text: bool
    """Whether a column of nothing but words is left out, as one that is no gene."""


def gather_samples(
    file: LabelFile, layout: Layout, wanted: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[Dropped, ...]]:
    """Read samples and genes from a table.

    Args:
        file: The table.
        layout: Which of its columns says what.
        wanted: Genes to be read; None: all.
        kind: What its cells hold.

    Returns:
        The samples; genes that were left out, those `wanted` but not in the table among them.

    Raises:
        ConfigError: A cell that holds something else, or none of the wanted genes.
    """
    read = {
        "patients-in-rows": _read_rows,
        "genes-in-rows": _read_columns,
        "long": _read_long,
        "maf": _read_long,
    }[layout.kind]
    table, dropped = read(file, layout, wanted, kind)
    if not table.samples or not table.targets:
        raise ConfigError(
            f"labels {file.origin}: {len(table.samples)} samples and {len(table.targets)} genes "
            "with values, wanted some of both; check --labels-layout and --id-column"
        )
    return table, dropped


def _read_rows(
    file: LabelFile, layout: Layout, wanted: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[Dropped, ...]]:
    names = [file.columns[at] for at in layout.values]
    chosen, absent = _choose(names, wanted, file.origin)
    patients = file.texts(_known(layout.ids))
    samples = patients if layout.samples is None else file.texts(layout.samples)
    columns = file.load([layout.values[at] for at in chosen])
    named = [(names[at], column) for at, column in zip(chosen, columns, strict=True)]
    skips = kind.skips_text and wanted is None
    targets, values, words = _to_numbers(named, patients, kind, skips, file.origin)
    targets, values, note = merge_targets(targets, values, kind.how)
    rows, notes = _with_names(patients, "row without a patient")
    table = SampleTable(
        tuple(samples[at] or patients[at] for at in rows),
        tuple(patients[at] for at in rows),
        tuple(targets),
        values[rows],
        tuple(text for text in (note, *notes) if text),
    )
    return table, (*absent, *words)


def _read_columns(
    file: LabelFile, layout: Layout, wanted: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[Dropped, ...]]:
    genes = file.texts(_known(layout.genes))
    chosen, absent = _choose(genes, wanted, file.origin)
    named, notes = _with_names([genes[at] for at in chosen], "row without a gene")
    rows = pa.array([chosen[at] for at in named], pa.int64())
    columns = [column.take(rows) for column in file.load(layout.values)]
    samples = [(file.columns[at], c) for at, c in zip(layout.values, columns, strict=True)]
    targets = [genes[chosen[at]] for at in named]
    names, values, words = _to_numbers(samples, targets, kind, kind.skips_text, file.origin)
    if words:
        told = name_some([word.target for word in words])
        notes.append(f"columns of words left out as no samples: {told}")
    targets, merged, note = merge_targets(targets, values.T, kind.how)
    notes += [note] if note else []
    table = SampleTable(tuple(names), tuple(names), tuple(targets), merged, tuple(notes))
    return table, absent


def _read_long(
    file: LabelFile, layout: Layout, wanted: GeneList | None, kind: CellKind
) -> tuple[SampleTable, tuple[Dropped, ...]]:
    places = [_known(layout.ids), _known(layout.genes), *layout.values]
    ids, genes, cells = file.load(places)
    (samples,) = (ids,) if layout.samples is None else file.load([layout.samples])
    patient, patients = _encode(ids)
    gene, names = _encode(genes)
    sample, sample_names = _encode(samples)
    chosen, absent = _choose(names, wanted, file.origin)
    values, bad = kind.parse(cells)
    named = (patient >= 0) & (gene >= 0) & (sample >= 0)
    place = np.full(len(names) + 1, -1)
    place[chosen] = np.arange(len(chosen))
    used = named & (place[gene] >= 0)
    if (bad & used).any():
        at = int((bad & used).argmax())
        _refuse(file.origin, names[gene[at]], patients[patient[at]], cells[at], kind)
    width = len(sample_names)
    pairs, row = np.unique(patient[named] * width + sample[named], return_inverse=True)
    rows = np.full(len(named), -1)
    rows[named] = row
    shape = (len(pairs), len(chosen))
    matrix = reduce_cells(rows[used], place[gene[used]], values[used], shape, kind.how)
    filled = np.bincount(rows[used] * shape[1] + place[gene[used]], minlength=1) > 0
    again = int(used.sum()) - int(filled.sum())
    notes = [f"{count(int((~named).sum()), 'row')} without a patient or gene left out"]
    word = "averaged" if kind.how == "mean" else "merged"
    notes.append(
        f"{count(again, 'further row')} of a sample and gene that was there already: {word}"
    )
    table = SampleTable(
        tuple(sample_names[pair % width] for pair in pairs),
        tuple(patients[pair // width] for pair in pairs),
        tuple(names[at] for at in chosen),
        matrix,
        tuple(note for note in notes if not note.startswith("0 ")),
    )
    return table, absent


def _known(at: int | None) -> int:
    if at is None:
        raise ValueError("layout: a column is not known, wanted its place")
    return at


def _encode(column: pa.Array) -> tuple[Places, list[str]]:
    """(N,) which name each cell holds, -1 where none; and the names, sorted."""
    coded = pc.utf8_trim_whitespace(column.cast(pa.string())).dictionary_encode()
    names = coded.dictionary.to_pylist()
    code = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    order = sorted((at for at, name in enumerate(names) if name), key=names.__getitem__)
    place = np.full(len(names) + 1, -1, np.intp)
    place[order] = np.arange(len(order))
    return place[code], [names[at] for at in order]


def _choose(
    names: Sequence[str], wanted: GeneList | None, origin: str
) -> tuple[list[int], tuple[Dropped, ...]]:
    """Places of the genes that are wanted, in order; and those that are not there."""
    if wanted is None:
        return list(range(len(names))), ()
    asked, there = set(wanted.names), set(names)
    chosen = [at for at, name in enumerate(names) if name in asked]
    if not chosen:
        raise ConfigError(
            f"labels {origin}: genes {name_some(names)}, wanted some of the {len(asked)} of "
            f"{wanted.origin} ({name_some(wanted.names)}); use the same symbols or another --genes"
        )
    return chosen, tuple(
        Dropped(name, "not in the table") for name in wanted.names if name not in there
    )


def _to_numbers(
    columns: Sequence[Column], rows: Sequence[str], kind: CellKind, skips: bool, origin: str
) -> tuple[list[str], Values, tuple[Dropped, ...]]:
    """Columns as a matrix (rows, columns left); and those of words that were passed over."""
    names, numbers, words = [], [], []
    for name, column in columns:
        values, bad = kind.parse(column)
        if bad.any():
            at = int(bad.argmax())
            if not skips or np.isfinite(values).any():
                _refuse(origin, name, rows[at], column[at], kind)
            words.append(Dropped(name, f"words, as in {str(column[at].as_py())[:30]!r}"))
            continue
        names.append(name)
        numbers.append(values)
    if not numbers:
        return [], np.empty((len(rows), 0)), tuple(words)
    return names, np.stack(numbers, axis=1), tuple(words)


def _with_names(names: Sequence[str], what: str) -> tuple[list[int], list[str]]:
    """Places of those that have a name, and a note on the others."""
    rows = [at for at, name in enumerate(names) if name]
    lost = len(names) - len(rows)
    word = what if lost == 1 else what.replace("row", "rows", 1)
    return rows, [f"{lost} {word} left out"] if lost else []


def _refuse(origin: str, column: str, row: str, cell: pa.Scalar, kind: CellKind) -> None:
    raise ConfigError(
        f"labels {origin}: column {column}, row {row or '(unnamed)'}: {str(cell.as_py())[:40]!r}, "
        f"wanted {kind.wanted}; correct it, or name the genes with --genes"
    )
