"""One fold of patients: features, labels, fold, settings -> out-of-fold predictions. Pure.

Labels of the test part are never looked at: standardisation, penalties and weights come from the
training part alone. A patient without a label is neither trained on nor predicted, target by
target.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.learn.covariates import CovariateUse, impute_covariates
from histo_ray.learn.fold_data import (
    FoldData,
    FoldPrediction,
    PatientHeadSettings,
    RepeatPrediction,
    standardise_by,
)
from histo_ray.learn.harmonise import Harmonise, harmonise_parts
from histo_ray.learn.heads.registry import load_patient_head
from histo_ray.learn.targets.added_value import predict_added, take_out_covariates

__all__ = [
    "PatientData",
    "PatientHeadSettings",
    "predict_patient_fold",
    "predict_patient_repeat",
]

FEWEST = 3
"""Labelled patients of a training part, below which nothing is trained."""


@dataclass(frozen=True)
class PatientData:
    """Patients: their vectors by one encoder and pooling, and their labels."""

    features: npt.NDArray[np.floating]
    """(P, D) finite."""
    targets: npt.NDArray[np.float64]
    """(P, T) nan: no label; classes: 0.0 or 1.0."""
    names: tuple[str, ...]
    """(T,) of the targets."""
    groups: Sequence[str] | None = None
    """(P,) what stays together in inner folds, as a site; None: each patient is on its own."""
    sites: Sequence[str] | None = None
    """(P,) site of each, empty where unknown, for harmonisation."""
    covariates: npt.NDArray[np.float64] | None = None
    """(P, C) what is known beside the slides; nan: missing."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other or are not finite."""
        rows, count = self.targets.shape
        if len(self.features) != rows or len(self.names) != count:
            raise ConfigError(
                f"patients: features {self.features.shape}, targets {self.targets.shape}, "
                f"{len(self.names)} names; both need a row for each patient, and each target a name"
            )
        bad = np.flatnonzero(~np.isfinite(self.features).all(axis=1))
        if len(bad):
            raise ConfigError(
                f"features: {len(bad)} patients have nan or infinity (first: row {bad[0]}); "
                "extract their slides again with --dtype float32"
            )
        endless = np.flatnonzero(np.isinf(self.targets).any(axis=0))
        if len(endless):
            raise ConfigError(
                f"target {self.names[endless[0]]}: some values are infinite; "
                "transform the labels or leave the target out"
            )


def predict_patient_fold(
    data: PatientData,
    fold_ids: npt.NDArray[np.integer],
    fold: int,
    settings: PatientHeadSettings,
    seed: Sequence[int] = (0,),
) -> FoldPrediction:
    """Train on all other folds, predict this one.

    Targets that lack the same patients of the training part are solved together, so usually all
    share one decomposition.

    Args:
        data: All patients.
        fold_ids: (P,) fold of each patient; below 0: in none, neither trained on nor predicted.
        fold: The test part.
        settings: Head and how it chooses.
        seed: Seed of the inner folds, as (seed, repeat); the fold is added here.

    Returns:
        Predictions of the rows of `fold`, in their order.

    Raises:
        ConfigError: Too few patients, or one class, of a target in the training part.
    """
    tested = np.flatnonzero(fold_ids == fold)
    trained = np.flatnonzero((fold_ids >= 0) & (fold_ids != fold))
    inner_seed = draw_inner_seed((*seed, fold))
    count = len(data.names)
    prediction = FoldPrediction(np.empty((len(tested), count)), np.empty(count), np.empty(count))
    for rows, columns, groups in list_training_parts(data, trained, fold):
        found = predict_part(
            data, TrainingPart(rows, columns, groups), tested, settings, inner_seed
        )
        prediction.predicted[:, columns] = found.predicted
        prediction.choice[columns] = found.choice
        prediction.inner_score[columns] = found.inner_score
    prediction.predicted[np.isnan(data.targets[tested])] = np.nan
    return prediction


def predict_patient_repeat(
    data: PatientData,
    fold_ids: npt.NDArray[np.integer],
    settings: PatientHeadSettings,
    seed: Sequence[int] = (0,),
) -> RepeatPrediction:
    """Predict every fold of a repeat.

    Args:
        data: All P patients.
        fold_ids: (P,) fold of each patient, 0..F-1; below 0: in none.
        settings: Head and how it chooses.
        seed: Seed of the inner folds, as (seed, repeat).

    Raises:
        ConfigError: As `predict_patient_fold`.
    """
    count, n_folds = len(data.names), int(fold_ids.max()) + 1
    predicted = np.full((len(fold_ids), count), np.nan)
    choice, inner_score = np.empty((n_folds, count)), np.empty((n_folds, count))
    for fold in range(n_folds):
        found = predict_patient_fold(data, fold_ids, fold, settings, seed)
        predicted[fold_ids == fold] = found.predicted
        choice[fold], inner_score[fold] = found.choice, found.inner_score
    return RepeatPrediction(predicted, choice, inner_score)


def predict_part(
    data: PatientData,
    part: "TrainingPart",
    tested: npt.NDArray[np.intp],
    settings: PatientHeadSettings,
    inner_seed: int,
) -> FoldPrediction:
    """Train on some rows and targets, predict others.

    Args:
        data: All patients.
        part: Rows and targets to train on.
        tested: Rows to predict.
        settings: Head, how it chooses, and what it is trained on.
        inner_seed: Seed of the inner folds.
    """

    def make_fold(
        vectors: npt.NDArray[np.float64],
        others: npt.NDArray[np.float64],
        choices: tuple[float, ...],
    ) -> FoldData:
        train, test = standardise_by(vectors, others)
        return FoldData(
            train,
            data.targets[np.ix_(part.rows, part.columns)],
            test,
            tuple(data.names[column] for column in part.columns),
            part.groups,
            inner_seed,
            choices,
            settings.inner_folds,
            settings.leave_one_out,
            settings.penalty_by,
        )

    head = load_patient_head(settings.head)
    known = None
    if settings.covariates is not CovariateUse.NONE:
        name = settings.covariate_head or settings.head
        covariate_head = load_patient_head(name)
        known = make_fold(*take_covariates(data, part.rows, tested), covariate_head.choices)
        if settings.covariates is CovariateUse.ALONE:
            return covariate_head.predict(known)
    train, test = take_features(data, part.rows, tested, settings.harmonise)
    choices = settings.choices or head.choices
    if known is None:
        return head.predict(make_fold(train, test, choices))
    images = make_fold(*take_out_covariates(train, test, known.train, known.test), choices)
    return predict_added(images, known, head, covariate_head)


def take_features(
    data: PatientData,
    rows: npt.NDArray[np.intp],
    tested: npt.NDArray[np.intp],
    method: Harmonise,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Take the features of both parts, harmonised if that is asked for.

    Args:
        data: All patients.
        rows: To train on.
        tested: To predict.
        method: How features of sites are made alike.

    Raises:
        ConfigError: Harmonisation without sites.
    """
    train, test = (data.features[some].astype(np.float64) for some in (rows, tested))
    if method is Harmonise.NONE:
        return train, test
    if data.sites is None:
        raise ConfigError(f"harmonise {method}: the sites of the patients are not known")
    sites = np.asarray(data.sites, str)
    return harmonise_parts(train, test, sites[rows], sites[tested], method)


def take_covariates(
    data: PatientData, rows: npt.NDArray[np.intp], tested: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Take the covariates of both parts; missing numbers are filled from the training part.

    Raises:
        ConfigError: There are none.
    """
    if data.covariates is None:
        raise ConfigError("covariates: none are given")
    return impute_covariates(data.covariates[rows], data.covariates[tested])


class TrainingPart(NamedTuple):
    """Targets that lack the same patients, so that one decomposition serves all of them."""

    rows: npt.NDArray[np.intp]
    """Patients with a label of these targets, among those trained on."""
    columns: npt.NDArray[np.intp]
    """The targets."""
    groups: npt.NDArray[np.intp] | None
    """(n,) number of what stays together; None: each patient is on its own."""


def list_training_parts(
    data: PatientData, trained: npt.NDArray[np.intp], fold: int | None
) -> Iterator[TrainingPart]:
    """Yield the targets by which patients have a label, each target once.

    Args:
        data: All patients.
        trained: Rows that may be trained on.
        fold: Test part, for messages; None: there is none.

    Raises:
        ConfigError: Too few patients of a target.
    """
    numbers = None if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    for some, columns in _group_columns(~np.isnan(data.targets[trained])):
        rows = trained[some]
        _check_enough(data.names[columns[0]], len(rows), fold)
        yield TrainingPart(rows, columns, None if numbers is None else numbers[rows])


def draw_inner_seed(words: Sequence[int]) -> int:
    """Draw the seed of inner folds from several numbers."""
    return int(np.random.SeedSequence(list(words)).generate_state(1)[0])


def _check_enough(target: str, rows: int, fold: int | None) -> None:
    if rows < FEWEST:
        where = "" if fold is None else f" outside fold {fold}"
        raise ConfigError(
            f"target {target}: only {rows} labelled patients{where}, but training needs {FEWEST}; "
            "leave the target out"
        )


def _group_columns(
    labelled: npt.NDArray[np.bool_],
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield targets by which rows have a label: (rows that have one, columns), each column once."""
    if labelled.all():
        yield np.arange(labelled.shape[0]), np.arange(labelled.shape[1])
        return
    patterns, which = np.unique(np.packbits(labelled, axis=0), axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        columns = np.flatnonzero(which.ravel() == number)
        yield np.flatnonzero(labelled[:, columns[0]]), columns
