"""Mutations as labels: 0 or 1 a patient and gene, from a table of states or a list of calls."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa

from histo_ray.slides.barcodes import cut_barcode
from histo_ray.cohort.cells import Flags, Values, parse_states
from histo_ray.cohort.config import LabelSettings
from histo_ray.cohort.folds import name_some
from histo_ray.cohort.gather import CellKind, gather_samples
from histo_ray.cohort.genes import read_genes
from histo_ray.cohort.label_file import LabelFile, open_labels
from histo_ray.cohort.labels import LabelTable, count
from histo_ray.cohort.layout import PATIENT_NAMES, SAMPLE_NAMES, Layout, find_layout
from histo_ray.cohort.name_list import read_names
from histo_ray.cohort.samples import merge_samples
from histo_ray.errors import ConfigError

PROTEIN_CHANGING = (
    *("Missense_Mutation", "Nonsense_Mutation", "Nonstop_Mutation", "Splice_Site"),
    *("Frame_Shift_Del", "Frame_Shift_Ins", "In_Frame_Del", "In_Frame_Ins"),
    "Translation_Start_Site",
)
"""Classes of calls that count as a mutation: those that change the protein.

Source: the non-synonymous classes of maftools (Mayakonda A, et al. Genome Res 2018;28:1747-1756,
doi:10.1101/gr.239244.118), which are those of high or moderate consequence.
"""
STATES = CellKind(parse_states, "0, 1, true, false, WT, MUT or NA", "any", skips_text=False)


def read_mutations(settings: LabelSettings, known: Collection[str] = ()) -> LabelTable:
    """Read which patients carry a mutation in which genes.

    In a MAF only calls that change the protein count, and a patient without one in a gene is 0 if
    he was sequenced: if he is in the list of `settings.sequenced`, or, without one, has any call.

    Args:
        settings: The table, its layout and the genes that are wanted.
        known: Patients that the store knows; they tell which way round the table is.

    Raises:
        ConfigError: It cannot be read as such a table.
    """
    wanted = read_genes(settings.genes)
    file = open_labels(settings.labels)
    layout = find_layout(file.columns, file.texts, "mutation", settings, known)
    calls = layout.kind == "maf"
    if settings.sequenced is not None and not calls:
        raise ConfigError(
            f"--sequenced {settings.sequenced}: labels {file.origin} have layout {layout.kind}, "
            "wanted a MAF; leave it out"
        )
    kind = replace(STATES, parse=parse_calls) if calls else STATES
    notes = [*layout.notes, *(_describe_calls(file, layout) if calls else ())]
    table, dropped = gather_samples(file, layout, wanted, kind)
    patients, values, told = merge_samples(table, "any", file.origin)
    notes += told
    if calls:
        values = np.nan_to_num(values, nan=0.0)
        patients, values, filled = _fill_sequenced(patients, values, settings)
        notes += filled
    labels = LabelTable(
        patients, table.targets, values, dropped, file.digest, file.origin, tuple(notes)
    )
    if not calls:
        return labels
    return labels.keep(
        ["" if some else "no such call" for some in np.any(values > 0, axis=0).tolist()]
    )


def parse_calls(column: pa.Array) -> tuple[Values, Flags]:
    """Classes of calls as 1 where they change the protein, else 0.

    Args:
        column: (N,) Variant_Classification.

    Returns:
        (N,) 0 or 1; (N,) all False.
    """
    changing = {name.lower() for name in PROTEIN_CHANGING}
    cells = column.cast(pa.string()).to_pylist()
    found = [(cell or "").strip().lower() in changing for cell in cells]
    return np.array(found, np.float64), np.zeros(len(found), bool)


def _describe_calls(file: LabelFile, layout: Layout) -> tuple[str, ...]:
    """How many calls count, and which do not."""
    counts = Counter(file.texts(layout.values[0]))
    changing = {name.lower() for name in PROTEIN_CHANGING}
    counted = {name: n for name, n in counts.items() if name.lower() in changing}
    other = [f"{name or '(none)'} {n}" for name, n in counts.most_common() if name not in counted]
    if not counted:
        raise ConfigError(
            f"labels {file.origin}: calls of {name_some(other)}, none of which changes the "
            f"protein, wanted some of {', '.join(PROTEIN_CHANGING)}; check the column"
        )
    note = (
        f"{sum(counted.values())} of {sum(counts.values())} calls count, as they change the "
        f"protein ({', '.join(f'{name} {n}' for name, n in counted.items())})"
    )
    return note, *([f"calls that do not: {name_some(other, 12)}"] if other else [])


def _fill_sequenced(
    patients: tuple[str, ...], values: Values, settings: LabelSettings
) -> tuple[tuple[str, ...], Values, list[str]]:
    """A row for each patient who was sequenced: zeros where he has no call."""
    if settings.sequenced is None:
        note = (
            f"sequenced: the {len(patients)} patients with any call; patients without one are "
            "unknown to a MAF, --sequenced names them"
        )
        return patients, values, [note]
    listed = read_names(settings.sequenced, "--sequenced", (*SAMPLE_NAMES, *PATIENT_NAMES))
    sequenced = sorted({cut_barcode(name) for name in listed})
    row = {patient: at for at, patient in enumerate(patients)}
    common = [patient for patient in sequenced if patient in row]
    if not common:
        raise ConfigError(
            f"--sequenced {settings.sequenced}: {name_some(sequenced)}, none of them among the "
            f"patients of the MAF ({name_some(patients)}), wanted the same ids; check both"
        )
    filled = np.zeros((len(sequenced), values.shape[1]))
    for at, patient in enumerate(sequenced):
        if patient in row:
            filled[at] = values[row[patient]]
    notes = [
        f"sequenced: {len(sequenced)} patients of {settings.sequenced}, of whom "
        f"{len(sequenced) - len(common)} have no call"
    ]
    if len(common) < len(patients):
        lost = sorted(set(patients) - set(common))
        notes.append(
            f"{count(len(lost), 'patient')} with calls but not in it left out ({name_some(lost)})"
        )
    return tuple(sequenced), filled, notes
