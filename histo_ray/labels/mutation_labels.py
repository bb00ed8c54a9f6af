"""Read mutations as labels: 0 or 1 a patient and gene, from a table of states or from calls."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy import typing as npt

from histo_ray.errors import ConfigError
from histo_ray.labels.cells import Flags, Values, is_numeral, parse_states
from histo_ray.labels.genes import GeneList, read_genes
from histo_ray.labels.label_file import LabelFile, open_labels
from histo_ray.labels.label_layout import Layout, find_layout
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.name_list import read_names
from histo_ray.labels.sample_reader import CellKind, gather_samples
from histo_ray.labels.samples import merge_samples
from histo_ray.labels.target_exclusions import ExcludedTarget, TargetExclusion
from histo_ray.slides.barcodes import NOT_TUMOUR, cut_barcode, parse_barcode
from histo_ray.slides.column_names import PATIENT_NAMES, SAMPLE_NAMES, plain_name
from histo_ray.text import count_of, name_some
from histo_ray.types import TargetKind

PROTEIN_CHANGING = (
    *("Missense_Mutation", "Nonsense_Mutation", "Nonstop_Mutation", "Splice_Site"),
    *("Frame_Shift_Del", "Frame_Shift_Ins", "In_Frame_Del", "In_Frame_Ins"),
    "Translation_Start_Site",
)
"""Classes of calls that count as a mutation: those that change the protein.

Source: the non-synonymous classes of maftools (Mayakonda A, et al. Genome Res 2018;28:1747-1756,
doi:10.1101/gr.239244.118), which are those of high or moderate consequence.
"""
KNOWN_CLASSES = (
    *PROTEIN_CHANGING,
    *("Silent", "Splice_Region", "Intron", "RNA", "Targeted_Region", "IGR", "Unknown"),
    *("3'UTR", "5'UTR", "3'Flank", "5'Flank", "De_novo_Start_InFrame", "Stop_Codon_Ins"),
    *("De_novo_Start_OutOfFrame", "Start_Codon_SNP", "Start_Codon_Ins", "Start_Codon_Del"),
    *("Stop_Codon_Del", "lincRNA", "COULD_NOT_DETERMINE", "Fusion", "Amplification", "Deletion"),
)
"""Classes of the MAF format (NCI GDC), of Oncotator and of cBioPortal."""
NO_MUTATION = frozenset({"wildtype", "wt", "loh", "none", "germline", "redacted"})
"""Mutation_Status of calls that do not count, in small letters: what cBioPortal does not load
(Wildtype, LOH, None, Redacted) and germline variants, which it shows apart. Somatic, Unknown, an
empty cell and any other word count.

Source: cBioPortal, File-Formats.md, "Mutation data".
"""
SEQUENCED = "sequencedsamples"
"""Begins a comment of a MAF that names the sequenced samples, as cBioPortal writes it."""
MANY_VALUES = 10
"""So many different numbers beside 0 and 1 are measurements, not states that were miswritten."""


def _looks_like_expression(cells: Sequence[str]) -> str:
    """Say that cells which are no states look like expression, where they do."""
    numbers = [cell for cell in cells if is_numeral(cell)]
    if 2 * len(numbers) <= len(cells) or len(set(numbers)) < MANY_VALUES:
        return ""
    return (
        "the values look like expression, not mutations; `evaluate expression` reads them, while "
        "mutations are 0 and 1, or a MAF"
    )


STATES = CellKind(
    parse_states,
    "0, 1, true, false, WT, MUT or NA",
    "any",
    skips_text=False,
    hint=_looks_like_expression,
)

Flags1 = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Calls:
    """Which calls of a MAF count as mutations."""

    classes: tuple[str, ...]
    """Variant_Classification that counts."""
    counted: Flags1 | None
    """(N,) rows whose Mutation_Status lets them count; None without that column."""

    def parse(self, column: pa.Array, semicolons: bool = False) -> tuple[Values, Flags]:
        """1 for calls that count, 0 for the others, (N,); no cell is bad.

        Args:
            column: (N,) Variant_Classification of all rows.
            semicolons: Without meaning here.
        """
        values, bad = parse_calls(column, self.classes)
        return (values if self.counted is None else np.where(self.counted, values, 0.0)), bad


def read_mutations(settings: LabelSettings, known: Collection[str] = ()) -> LabelTable:
    """Read which patients carry a mutation in which genes.

    In a MAF only calls of some classes count, by default those that change the protein, and only
    with a Mutation_Status that stands for a somatic mutation. A patient without such a call in a
    gene is 0 if sequenced: listed in the file of `settings.sequenced`; or else with any call, or
    named by a comment `#sequenced_samples`.

    Args:
        settings: The table, its layout and the genes that are read.
        known: Patients that the store knows; they tell which layout the table has.

    Raises:
        ConfigError: It cannot be read as such a table.
    """
    gene_list = read_genes(settings.genes)
    file = open_labels(settings.labels)
    layout = find_layout(file.columns, file.texts, settings, known, accepts_maf=True)
    if layout.kind != "maf":
        return _read_states(settings, file, layout, gene_list)
    classes = choose_classes(settings.variant_classes, file, layout)
    words = [] if layout.status is None else file.words(layout.status)
    counted = None if layout.status is None else find_counted(words)
    calls = Calls(classes, counted)
    notes = [*layout.notes, *_describe_calls(file, layout, calls), *_describe_status(words)]
    kind = replace(STATES, parse=calls.parse)
    table, dropped = gather_samples(file, layout, gene_list, kind)
    patients, values, told = merge_samples(table, "any", file.origin)
    values = np.nan_to_num(values, nan=0.0)
    patients, values, filled = _fill_sequenced(patients, values, settings, file.comments)
    labels = LabelTable(
        patients,
        table.targets,
        values,
        dropped,
        file.digest,
        file.origin,
        (*notes, *told, *filled),
        layout.caveats,
        classes,
        kind=TargetKind.BINARY,
    )
    called = np.any(values > 0, axis=0).tolist()
    return labels.exclude(
        [
            None if some else ExcludedTarget(target, TargetExclusion.NO_CALL)
            for target, some in zip(labels.targets, called, strict=True)
        ]
    )


def parse_calls(
    column: pa.Array, classes: Sequence[str] = PROTEIN_CHANGING
) -> tuple[Values, Flags]:
    """Parse classes of calls: 1 for those of `classes`, else 0.

    Args:
        column: (N,) Variant_Classification.
        classes: Those that count, in any case.

    Returns:
        (N,) 0 or 1; (N,) all False.
    """
    counting = {name.lower() for name in classes}
    cells = column.cast(pa.string()).to_pylist()
    found = [(cell or "").strip().lower() in counting for cell in cells]
    return np.array(found, np.float64), np.zeros(len(found), bool)


def find_counted(words: Sequence[str]) -> Flags1:
    """Flag the rows whose Mutation_Status stands for a mutation; see `NO_MUTATION`.

    Args:
        words: (N,) cells.

    Returns:
        (N,).
    """
    return np.array([plain_name(word) not in NO_MUTATION for word in words], bool)


def choose_classes(asked: Sequence[str], file: LabelFile, layout: Layout) -> tuple[str, ...]:
    """Choose the classes of calls that count as mutations.

    Raises:
        ConfigError: One that is neither known nor in the file.
    """
    if not asked:
        return PROTEIN_CHANGING
    there = {name.lower() for name in file.texts(layout.values[0])}
    known = {name.lower(): name for name in KNOWN_CLASSES}
    wrong = [name for name in asked if name.lower() not in there | known.keys()]
    if wrong:
        raise ConfigError(
            f"--variant-classes {', '.join(wrong)}: no class of the MAF format, and none of "
            f"{file.origin}; the classes are {', '.join(KNOWN_CLASSES)}"
        )
    return tuple(sorted({known.get(name.lower(), name) for name in asked}))


def is_default(classes: Collection[str]) -> bool:
    """Whether these classes count by default, or there are none as in a table of states."""
    return not classes or set(classes) == set(PROTEIN_CHANGING)


def _read_states(
    settings: LabelSettings, file: LabelFile, layout: Layout, gene_list: GeneList | None
) -> LabelTable:
    """Read labels from a table of 0 and 1."""
    for flag, given in (
        ("--sequenced", settings.sequenced),
        ("--variant-classes", settings.variant_classes),
    ):
        if given:
            raise ConfigError(
                f"{flag}: only for a MAF, but labels {file.origin} have layout {layout.kind}; "
                "leave it out"
            )
    table, dropped = gather_samples(file, layout, gene_list, STATES)
    patients, values, told = merge_samples(table, "any", file.origin)
    notes = (*layout.notes, *told)
    return LabelTable(
        patients,
        table.targets,
        values,
        dropped,
        file.digest,
        file.origin,
        notes,
        layout.caveats,
        kind=TargetKind.BINARY,
    )


def _describe_calls(file: LabelFile, layout: Layout, calls: Calls) -> tuple[str, ...]:
    """Describe how many calls count by their class, and which do not."""
    cells = file.texts(layout.values[0])
    kept = [True] * len(cells) if calls.counted is None else calls.counted.tolist()
    counts = Counter(cell for cell, keep in zip(cells, kept, strict=True) if keep)
    counting = {name.lower() for name in calls.classes}
    counted = {name: n for name, n in counts.items() if name.lower() in counting}
    other = [f"{name or '(none)'} {n}" for name, n in counts.most_common() if name not in counted]
    if not counted:
        lost = kept.count(False)
        status = f" beside {lost} whose Mutation_Status is no mutation" if lost else ""
        raise ConfigError(
            f"labels {file.origin}: no call counts as a mutation: calls of "
            f"{name_some(other) or 'no class'}{status}, while {', '.join(calls.classes)} count; "
            "check the column, or choose classes with --variant-classes"
        )
    why = "they change the protein" if is_default(calls.classes) else "--variant-classes says so"
    if not all(kept):
        why += " and their Mutation_Status is one of a mutation"
    note = (
        f"{sum(counted.values())} of {len(cells)} calls count, as {why} "
        f"({', '.join(f'{name} {n}' for name, n in counted.items())})"
    )
    return note, *([f"calls that do not: {name_some(other, 12)}"] if other else [])


def _describe_status(words: Sequence[str]) -> Iterable[str]:
    """Describe the calls that do not count for their Mutation_Status."""
    lost = Counter(word for word in words if plain_name(word) in NO_MUTATION)
    if lost:
        told = ", ".join(f"{word} {n}" for word, n in lost.most_common())
        yield f"calls that do not count for their Mutation_Status: {told}"


def _fill_sequenced(
    patients: tuple[str, ...], values: Values, settings: LabelSettings, comments: Sequence[str]
) -> tuple[tuple[str, ...], Values, list[str]]:
    """Add a row of zeros for each sequenced patient without a call."""
    named = _read_sequenced(comments)
    if settings.sequenced is None and not named:
        note = (
            f"sequenced: the {len(patients)} patients with any call; patients without one are "
            "unknown to a MAF, --sequenced names them"
        )
        return patients, values, [note]
    row = {patient: at for at, patient in enumerate(patients)}
    if settings.sequenced is None:
        sequenced = sorted({*named, *patients})
        without = len(sequenced) - len(patients)
        notes = [
            f"sequenced: {len(sequenced)} patients, of whom {without} have no call and are named "
            f"by #sequenced_samples ({count_of(len(named), 'patient')})"
        ]
        if beside := sorted(set(patients) - named):
            told = name_some(beside)
            notes.append(
                f"{count_of(len(beside), 'patient')} with calls but not named there ({told})"
            )
    else:
        listed = read_names(settings.sequenced, "--sequenced", (*SAMPLE_NAMES, *PATIENT_NAMES))
        sequenced = sorted({cut_barcode(name) for name in listed})
        notes = _describe_listed(settings.sequenced, sequenced, patients)
        if named:
            notes.append("#sequenced_samples of the MAF is not used, as --sequenced is given")
    filled = np.zeros((len(sequenced), values.shape[1]))
    for at, patient in enumerate(sequenced):
        if patient in row:
            filled[at] = values[row[patient]]
    return tuple(sequenced), filled, notes


def _describe_listed(uri: str, sequenced: Sequence[str], patients: Sequence[str]) -> list[str]:
    """Describe how the list of `--sequenced` differs from the patients with calls."""
    common = set(sequenced) & set(patients)
    if not common:
        raise ConfigError(
            f"--sequenced {uri}: none of its ids ({name_some(sequenced)}) is a patient of the MAF "
            f"({name_some(patients)}); write the ids alike in both"
        )
    notes = [
        f"sequenced: {len(sequenced)} patients of {uri}, of whom "
        f"{len(sequenced) - len(common)} have no call"
    ]
    if lost := sorted(set(patients) - common):
        notes.append(
            f"{count_of(len(lost), 'patient')} with calls but not in it left out "
            f"({name_some(lost)})"
        )
    return notes


def _read_sequenced(comments: Sequence[str]) -> set[str]:
    """Read the patients that comments `#sequenced_samples: ...` name, without normal samples."""
    names: set[str] = set()
    for comment in comments:
        key, _, rest = comment.partition(":")
        if plain_name(key) != SEQUENCED:
            key, _, rest = comment.partition(" ")
        if plain_name(key) == SEQUENCED:
            names.update(re.split(r"[\s,;]+", rest.strip()))
    barcodes = {name: parse_barcode(name) for name in names - {""}}
    return {
        cut_barcode(name)
        for name, barcode in barcodes.items()
        if barcode is None or barcode.sample_type not in NOT_TUMOUR
    }
