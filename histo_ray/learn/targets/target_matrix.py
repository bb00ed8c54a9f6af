"""Labels and folds as heads of patients are given them. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.learn.covariates import Covariates


@dataclass(frozen=True)
class TargetMatrix:
    """What is to be predicted of the patients, and the folds that they are tested in."""

    targets: npt.NDArray[np.float64]
    """(P, T); nan where a patient has no label."""
    target_names: tuple[str, ...]
    """(T,)."""
    fold_ids: npt.NDArray[np.int32]
    """(R, P) fold of each patient, or (T, R, P) where targets have folds of their own; there -1
    where a patient has no label, and in all of a repeat that the target lacks."""
    groups: tuple[str, ...] | None
    """(P,) what stays together in inner folds too; None: each patient is on its own."""
    sites: tuple[str, ...] | None = None
    """(P,) site of each patient, empty where unknown; None: nothing is harmonised."""
    covariates: Covariates | None = None
    """What is known of the patients beside their slides."""

    @property
    def repeats(self) -> int:
        """Distinct splits; a target with folds of its own may lack some of them."""
        return int(self.fold_ids.shape[-2])

    @property
    def n_folds(self) -> int:
        """Folds of a repeat."""
        return int(self.fold_ids.max()) + 1

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        known = 0 if self.covariates is None else self.covariates.nbytes
        return self.targets.nbytes + self.fold_ids.nbytes + known

    def fold_ids_of(self, target: int) -> npt.NDArray[np.int32]:
        """Return the (R, P) folds of one target."""
        own: npt.NDArray[np.int32] = (
            self.fold_ids[target] if self.fold_ids.ndim == 3 else self.fold_ids
        )
        return own

    def lacks_repeat(self, target: int, repeat: int) -> bool:
        """Whether a target lacks this repeat, as it would equal an earlier one."""
        return self.fold_ids.ndim == 3 and bool((self.fold_ids[target, repeat] < 0).all())
