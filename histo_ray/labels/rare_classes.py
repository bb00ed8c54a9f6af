"""Set aside classes of which too few patients are there to be in every fold. Pure."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from histo_ray.labels.label_table import LabelTable
from histo_ray.text import count_of


def drop_rare_classes(
    labels: LabelTable, n_folds: int, groups: Sequence[str] | None = None
) -> LabelTable:
    """Leave out the patients of classes with fewer patients than folds, column by column.

    The other classes are numbered anew, in their order. A caveat names what is left out.

    Args:
        labels: Numbers of classes, with `columns`.
        n_folds: Folds of a repeat, each of which needs a patient of every class.
        groups: (P,) group of each patient, if groups stay in one fold: then groups are counted.
    """
    units = np.arange(len(labels.patients))
    word = "patient"
    if groups is not None and len(set(groups)) < len(groups):
        units, word = np.unique(np.asarray(groups, str), return_inverse=True)[1], "group"
    values, columns, caveats = labels.values.copy(), list(labels.columns), list(labels.caveats)
    for at, column in enumerate(labels.columns):
        own = labels.values[:, at]
        counts = [len(np.unique(units[own == n])) for n in range(len(column.classes))]
        kept = [n for n, count in enumerate(counts) if count >= n_folds]
        if len(kept) == len(counts):
            continue
        place = np.full(len(counts), np.nan)
        place[kept] = np.arange(len(kept))
        known = ~np.isnan(own)
        values[known, at] = place[own[known].astype(np.intp)]
        columns[at] = replace(column, classes=tuple(column.classes[n] for n in kept))
        lost = [
            f"{column.classes[n]} ({count_of(count, word)})"
            for n, count in enumerate(counts)
            if count < n_folds
        ]
        caveats.append(
            f"column {column.name}: {count_of(len(lost), 'class', 'classes')} with fewer "
            f"{word}s than the {n_folds} folds left out, and their patients with them: "
            f"{', '.join(lost)}; merge classes in the table, or use fewer folds"
        )
    return replace(labels, values=values, columns=tuple(columns), caveats=tuple(caveats))
