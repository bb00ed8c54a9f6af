"""Labels of patients: one row a patient, one column a target. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from histo_ray.labels.target_exclusions import ExcludedTarget
from histo_ray.types import TargetKind


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
    """What the values are."""

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
        )

    def note(self, *texts: str) -> "LabelTable":
        """Add notes."""
        return replace(self, notes=(*self.notes, *texts))
