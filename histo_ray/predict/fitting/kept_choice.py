"""Out-of-fold predictions by the very settings of a head that is kept: they calibrate it.

In a cross-validation each fold chooses a penalty of its own, so its predictions are shrunk more or
less than those of the head that is trained on all patients. A calibration, or a threshold, of such
predictions is of another scale than the head's. So the folds are predicted once more with the
configuration and the penalty that were chosen for the head. And where a fold tests more positives
(or higher numbers) than are usual, it trains on fewer, so its heads predict lower: predictions are
moved by what the labels of their training part differ from all labels, or a strong penalty would
leave little else than that in them. Scores are not made of this: they stay
those of the evaluation, in which no test part had a part in the choice.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from histo_ray.evaluate.patients.patient_units import predict_repeat
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.heads.linear_fit import LinearFit, Link
from histo_ray.learn.heads.registry import load_patient_head
from histo_ray.learn.targets.target_matrix import TargetMatrix

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
        count = min(repeats, matrix.repeats)
        predicted = _average(features, some, settings, seed, count, fit.link is Link.LOGISTIC)
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
    log_odds: bool,
) -> Floats:
    """Average the repeats that a target has, (P, T); `log_odds`: predictions are probabilities."""
    sums, counts = np.zeros(matrix.targets.shape), np.zeros(matrix.targets.shape)
    for repeat in range(repeats):
        with threadpool_limits(1):  # so that sums keep their order
            predicted = predict_repeat(features, matrix, repeat, settings, seed).predicted
        predicted = _move_folds(matrix, repeat, predicted, log_odds)
        there = np.isfinite(predicted)
        sums[there] += predicted[there]
        counts += there
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _move_folds(matrix: TargetMatrix, repeat: int, predicted: Floats, log_odds: bool) -> Floats:
    """Move (P, T) predictions of each fold to where heads trained on all labels would predict.

    A head with an intercept predicts the mean of its training labels on average (on the scale of
    log-odds as far as predictions are near each other: the correction of King and Zeng 2001,
    Political Analysis 9:137).
    """
    labelled = np.isfinite(matrix.targets)
    values = np.where(labelled, matrix.targets, 0.0)
    fold_ids = matrix.fold_ids[..., repeat, :]
    own = np.broadcast_to(fold_ids, (values.shape[1], len(values))).T  # (P, T)
    moved = np.full(predicted.shape, np.nan)
    inside = labelled & (own >= 0)
    for fold in range(matrix.n_folds):
        tested, trained = inside & (own == fold), inside & (own != fold)
        with np.errstate(divide="ignore", invalid="ignore"):
            here = (values * trained).sum(0) / trained.sum(0)
            everywhere = (values * inside).sum(0) / inside.sum(0)
            if log_odds:
                shifted = expit(logit(predicted) + logit(everywhere) - logit(here))
            else:
                shifted = predicted + everywhere - here
        moved[tested] = shifted[tested]
    return moved
