"""Labels of patients: one row a patient, one column a target. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from histo_ray.labels.target_exclusions import ExcludedTarget
from histo_ray.types import TargetKind


@dataclass(frozen=True)
class LabelColumn:
    """What one column of labels holds."""

    name: str
    kind: TargetKind
    classes: tuple[str, ...] = ()
    """As the table writes them: negative and positive, or lowest first where they have an order;
    empty of numbers. Values are their places here."""
    rule: str = ""
    """How kind and classes were found, in words."""


@dataclass(frozen=True)
class LabelTable:
    """Labels of patients: a target matrix, where it came from, and what was left out."""

    patients: tuple[str, ...]
    """(P,) unique, sorted."""
    targets: tuple[str, ...]
    """(T,) genes."""
    values: npt.NDArray[np.float64]
    """(P, T); nan: missing. Of binary targets 0.0, 1.0 or nan."""
    dropped: tuple[ExcludedTarget, ...]
    """Targets left out, and why."""
    digest: str
    """SHA-256 of the file's bytes."""
    origin: str
    """Path or URI as given."""
    notes: tuple[str, ...]
    """What was done, in words."""
    caveats: tuple[str, ...] = ()
    """Warnings that belong to every score from these labels."""
    variant_classes: tuple[str, ...] = ()
    """Classes of calls that counted as mutations, where the labels are from a MAF."""
    kind: TargetKind = field(kw_only=True)
    """What the values are; of a table with `columns` each of these says it."""
    columns: tuple[LabelColumn, ...] = field(default=(), kw_only=True)
    """(T,) what each target holds, where columns of any kind are targets; else empty."""
    noun: str = field(default="gene", kw_only=True)
    """What one target is called in messages."""

    @property
    def classes(self) -> tuple[tuple[str, ...], ...]:
        """(T,) names of the classes of each target; empty without `columns`."""
        return tuple(column.classes for column in self.columns)

    def take(self, rows: Sequence[int], patients: Sequence[str]) -> "LabelTable":
        """Take some rows, in a new order and under new names."""
        chosen = self.values[np.asarray(rows, np.intp)]
        return replace(self, patients=tuple(patients), values=chosen)

    def exclude(self, exclusions: Sequence[ExcludedTarget | None]) -> "LabelTable":
        """Leave out targets, and list them in `dropped`.

        Args:
            exclusions: (T,) why each target is left out; None: it stays.
        """
        if len(exclusions) != len(self.targets):
            raise ValueError(f"{len(exclusions)} exclusions for {len(self.targets)} targets")
        kept = [at for at, exclusion in enumerate(exclusions) if exclusion is None]
        left_out = [exclusion for exclusion in exclusions if exclusion is not None]
        return replace(
            self,
            targets=tuple(self.targets[at] for at in kept),
            values=self.values[:, kept],
            dropped=(*self.dropped, *left_out),
            columns=tuple(self.columns[at] for at in kept) if self.columns else (),
        )

    def pick(self, kind: TargetKind) -> "LabelTable":
        """Take the targets of one kind, of a table with `columns`; nothing is listed as dropped."""
        kept = [at for at, column in enumerate(self.columns) if column.kind is kind]
        return replace(
            self,
            targets=tuple(self.targets[at] for at in kept),
            values=self.values[:, kept],
            columns=tuple(self.columns[at] for at in kept),
            dropped=(),
            notes=(),
            caveats=(),
            kind=kind,
        )

    def note(self, *texts: str) -> "LabelTable":
        """Add notes."""
        return replace(self, notes=(*self.notes, *texts))
