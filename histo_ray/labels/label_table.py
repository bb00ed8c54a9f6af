"""Labels of patients: one row a patient, one column a target. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Task = Literal["expression", "mutation"]


@dataclass(frozen=True)
class Dropped:
    """A target that was left out."""

    target: str
    reason: str


@dataclass(frozen=True)
class LabelTable:
    """Labels of patients for one task."""

    patients: tuple[str, ...]
    """(P,) unique, sorted."""
    targets: tuple[str, ...]
    """(T,) genes."""
    values: npt.NDArray[np.float64]
    """(P, T); nan: missing; mutation: 0.0, 1.0 or nan."""
    dropped: tuple[Dropped, ...]
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

    def take(self, rows: Sequence[int], patients: Sequence[str]) -> "LabelTable":
        """Some rows, in a new order and under new names."""
        chosen = self.values[np.asarray(rows, np.intp)]
        return replace(self, patients=tuple(patients), values=chosen)

    def keep(self, reasons: Sequence[str]) -> "LabelTable":
        """The targets without a reason to leave them out; the others are listed as dropped.

        Args:
            reasons: (T,) why a target is left out; empty: it stays.
        """
        kept = [at for at, reason in enumerate(reasons) if not reason]
        lost = (Dropped(t, r) for t, r in zip(self.targets, reasons, strict=True) if r)
        return replace(
            self,
            targets=tuple(self.targets[at] for at in kept),
            values=self.values[:, kept],
            dropped=(*self.dropped, *lost),
        )

    def note(self, *texts: str) -> "LabelTable":
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *texts))
