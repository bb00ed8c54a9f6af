"""Heads trained on all patients, or on the training part of a fold, and kept. Pure.

`predict_patient_fold` trains the same heads and throws them away.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import FoldData, PatientHeadSettings, measure_scale
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.heads.registry import load_patient_head
from histo_ray.learn.patient_heads import PatientData, draw_inner_seed, list_training_parts
from histo_ray.learn.targets.configurations import Configuration, select_configurations

ALL_PATIENTS = 1 << 31
"""Stands in place of repeat and fold in the seed of the inner folds of all patients."""

Rows = npt.NDArray[np.intp]


def fit_patients(
    data: PatientData, settings: PatientHeadSettings, seed: int = 0
) -> tuple[LinearFit, ...]:
    """Train one configuration on all patients.

    Targets that lack the same patients share a fit.

    Args:
        data: All patients.
        settings: Head and how it chooses.
        seed: Seed of the inner folds.

    Returns:
        Fits whose targets together are all of `data`, each once.

    Raises:
        ConfigError: Too few patients, or one class, of a target; or a head that is not linear.
    """
    return tuple(_fit(data, np.arange(len(data.targets)), settings, (seed, ALL_PATIENTS), None))


def fit_patient_fold(
    data: PatientData,
    fold_ids: npt.NDArray[np.integer],
    fold: int,
    settings: PatientHeadSettings,
    seed: Sequence[int] = (0,),
) -> tuple[LinearFit, ...]:
    """Train on all other folds: the heads whose predictions `predict_patient_fold` returns.

    Arguments and errors are those of `predict_patient_fold`.

    Returns:
        Fits whose targets together are all of `data`, each once; those of `data` that are predicted
        by them are the rows of `fold`.
    """
    trained = np.flatnonzero((fold_ids >= 0) & (fold_ids != fold))
    return tuple(_fit(data, trained, settings, (*seed, fold), fold))


def choose_configurations(
    configurations: Sequence[Configuration], inner_scores: npt.NDArray[np.floating]
) -> npt.NDArray[np.intp]:
    """Choose one configuration for each target by inner scores, as `evaluate` does in a fold.

    Args:
        configurations: C of them, of one encoder; of equals the earlier one is chosen.
        inner_scores: (C, T); nan: could not be scored, so chosen only if all are.

    Returns:
        (T,) number of the configuration.
    """
    selected = select_configurations(configurations, inner_scores[:, None, None])
    return np.asarray(selected[:, 0, 0].argmax(0))


def _fit(
    data: PatientData,
    trained: Rows,
    settings: PatientHeadSettings,
    seed: Sequence[int],
    fold: int | None,
) -> Iterator[LinearFit]:
    head = load_patient_head(settings.head)
    if head.fit is None:
        raise ConfigError(
            f"head {settings.head}: it is not linear, so it can be evaluated but not kept as a "
            "predictor; use another --head"
        )
    inner_seed = draw_inner_seed(seed)
    for part in list_training_parts(data, trained, fold):
        features = data.features[part.rows].astype(np.float64)
        scale = measure_scale(features)
        names = tuple(data.names[column] for column in part.columns)
        found = head.fit(
            FoldData(
                (features - scale.mean) * scale.scale,
                data.targets[np.ix_(part.rows, part.columns)],
                np.empty((0, features.shape[1])),
                names,
                part.groups,
                inner_seed,
                settings.choices or head.choices,
                settings.inner_folds,
                settings.leave_one_out,
                settings.penalty_by,
            )
        )
        yield LinearFit(
            names, scale, found.weights, found.bias, head.link, found.choice, found.inner_score
        )
