"""Scores of survival at stated times, fold by fold. Pure.

AUC needs risks alone. A Brier score needs probabilities: the head of each fold is trained again
with the penalty that was chosen there, and its baseline hazard is that of its own training part
(Breslow), so nothing of a test part bears on what is predicted of it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.cox_fit import hazard_at, measure_baseline, predict_survival
from histo_ray.learn.fit_heads import fit_patient_fold
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.patient_heads import PatientData
from histo_ray.learn.statistics import (
    censoring_curve,
    kaplan_meier,
    score_auc_at,
    score_brier_at,
)
from histo_ray.learn.statistics.correlation import mean_defined
from histo_ray.types.signed_times import split_times

Floats = npt.NDArray[np.float64]
FoldIds = npt.NDArray[np.integer]
_INNER_FOLDS = 2
"""Fewest that a head takes; nothing is chosen by them, as there is one choice."""


class FoldHead(NamedTuple):
    """What predicted one fold: features, and the head with what was chosen."""

    features: npt.NDArray[np.floating]
    """(P, D)."""
    head: str
    choice: float


FindHead = Callable[[int, int], FoldHead]
"""(repeat, fold) -> what was selected there."""


class BrierScores(NamedTuple):
    """Means over folds and repeats, each (S,)."""

    model: Floats
    kaplan_meier: Floats
    """Score of the training part's Kaplan-Meier curve, the same for all patients."""


def average_auc(
    signed: Floats, fold_ids: FoldIds, risks: npt.NDArray[np.floating], times: Floats
) -> Floats:
    """Mean over folds and repeats of the AUC at some times, (S,); nan where no fold has one.

    Args:
        signed: (P,) signed times; nan: no label.
        fold_ids: (R, P).
        risks: (R, P) out of fold.
        times: (S,).
    """
    found = []
    for repeat, fold in np.ndindex(len(fold_ids), int(fold_ids.max()) + 1):
        trained, tested = _split(signed, fold_ids[repeat], fold)
        tested &= ~np.isnan(risks[repeat])
        if tested.any():
            censoring = censoring_curve(*split_times(signed[trained]))
            own = np.asarray(risks[repeat, tested], np.float64)
            found.append(score_auc_at(signed[tested], own, censoring, times))
    return mean_defined(np.stack(found)) if found else np.full(len(times), np.nan)


def average_brier(
    signed: Floats,
    fold_ids: FoldIds,
    groups: Sequence[str] | None,
    find_head: FindHead,
    times: Floats,
) -> BrierScores:
    """Mean over folds and repeats of the Brier score at some times.

    Args:
        signed: (P,) signed times; nan: no label.
        fold_ids: (R, P).
        groups: (P,) what stays together in inner folds; None: each patient is alone.
        find_head: What predicted each fold.
        times: (S,).
    """
    models, references = [], []
    for repeat, fold in np.ndindex(len(fold_ids), int(fold_ids.max()) + 1):
        trained, tested = _split(signed, fold_ids[repeat], fold)
        if not tested.any():
            continue
        survival = _predict_survival(
            signed, fold_ids[repeat], fold, groups, find_head(repeat, fold), times
        )
        own = split_times(signed[trained])
        censoring = censoring_curve(*own)
        plain = np.broadcast_to(kaplan_meier(*own).at(times), survival.shape)
        models.append(score_brier_at(signed[tested], survival, censoring, times))
        references.append(score_brier_at(signed[tested], plain, censoring, times))
    if not models:
        return BrierScores(*(np.full(len(times), np.nan),) * 2)
    return BrierScores(np.mean(models, 0), np.mean(references, 0))


def _split(
    signed: Floats, fold_ids: FoldIds, fold: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(P,) who is trained on, and who is tested."""
    there = ~np.isnan(signed) & (fold_ids >= 0)
    return there & (fold_ids != fold), there & (fold_ids == fold)


def _predict_survival(
    signed: Floats,
    fold_ids: FoldIds,
    fold: int,
    groups: Sequence[str] | None,
    chosen: FoldHead,
    times: Floats,
) -> Floats:
    """(M, S) probability that the patients of a fold have no event by each time."""
    trained, tested = _split(signed, fold_ids, fold)
    data = PatientData(chosen.features, signed[:, None], ("endpoint",), groups)
    settings = PatientHeadSettings(chosen.head, (chosen.choice,), _INNER_FOLDS)
    (fit,) = fit_patient_fold(data, np.where(trained | tested, fold_ids, -1), fold, settings)
    risks = fit.predict(chosen.features[trained])[:, 0]
    hazard = hazard_at(*measure_baseline(signed[trained], risks), times)
    return predict_survival(fit.predict(chosen.features[tested])[:, 0], hazard)
