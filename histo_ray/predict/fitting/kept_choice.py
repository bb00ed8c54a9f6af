"""Out-of-fold predictions by the very settings of a head that is kept: they calibrate it.

In a cross-validation each fold chooses a penalty of its own, so its predictions are shrunk more or
less than those of the head that is trained on all patients. A calibration, or a threshold, of such
predictions is of another scale than the head's. So the folds are predicted once more with the
configuration and the penalty that were chosen for the head. Scores are not made of this: they stay
those of the evaluation, in which no test part had a part in the choice.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from histo_ray.evaluate.patient_units import predict_repeat
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.heads.registry import load_patient_head
from histo_ray.learn.target_matrix import TargetMatrix

REPEATS = 10
"""So many repeats are predicted; more change the mean hardly."""
_INNER_FOLDS = 2
"""Fewest that a head takes; nothing is chosen by them, as there is one choice."""

Floats = npt.NDArray[np.float64]


def predict_kept(
    features: npt.NDArray[np.float32],
    matrix: TargetMatrix,
    head: str,
    fit: LinearFit,
    seed: int,
    repeats: int = REPEATS,
) -> Mapping[str, Floats]:
    """Predict each patient by heads of the same settings that did not see this patient.

    Args:
        features: (P, D) pooled vectors.
        matrix: Labels and folds.
        head: Name of the head.
        fit: What is kept of it; its targets and their choices.
        seed: Seed of what the head draws.
        repeats: How many repeats are averaged, or all if there are fewer.

    Returns:
        By target (P,), mean over repeats; nan where a patient has no label.
    """
    found: dict[str, Floats] = {}
    joint = load_patient_head(head).joint and matrix.fold_ids.ndim == 2
    every = fit.targets if joint else ()
    for choice in np.unique(fit.choice):  # nan, which stands for no choice, is one value
        alike = (fit.choice == choice) | (np.isnan(fit.choice) & np.isnan(choice))
        names = [name for name, same in zip(fit.targets, alike, strict=True) if same]
        choices = () if np.isnan(choice) else (float(choice),)
        settings = PatientHeadSettings(head, choices, _INNER_FOLDS)
        some = _take(matrix, every or names)
        predicted = _average(features, some, settings, seed, min(repeats, matrix.repeats))
        found |= {name: predicted[:, some.target_names.index(name)] for name in names}
    return found


def _take(matrix: TargetMatrix, names: Sequence[str]) -> TargetMatrix:
    """Take the labels and folds of some targets."""
    at = [matrix.target_names.index(name) for name in names]
    fold_ids = matrix.fold_ids[at] if matrix.fold_ids.ndim == 3 else matrix.fold_ids
    return TargetMatrix(matrix.targets[:, at], tuple(names), fold_ids, matrix.groups)


def _average(
    features: npt.NDArray[np.float32],
    matrix: TargetMatrix,
    settings: PatientHeadSettings,
    seed: int,
    repeats: int,
) -> Floats:
    """Average the repeats that a target has, (P, T)."""
    sums, counts = np.zeros(matrix.targets.shape), np.zeros(matrix.targets.shape)
    for repeat in range(repeats):
        with threadpool_limits(1):  # so that sums keep their order
            predicted = predict_repeat(features, matrix, repeat, settings, seed).predicted
        there = np.isfinite(predicted)
        sums[there] += predicted[there]
        counts += there
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))
