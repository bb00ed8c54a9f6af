"""One fold of patients' outcomes: features, labels, fold, settings -> predictions. Pure.

What a fold is judged on is never looked at: standardisation, penalties and weights come from the
training part alone. A patient without a label is neither trained on nor judged, target by target.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import (
    FoldAnswer,
    FoldData,
    OutcomeHeadName,
    OutcomeSettings,
    RepeatAnswer,
    standardise_by,
)
from histo_ray.learn.logistic import LOGISTIC_PENALTIES, judge_logistic_outcomes
from histo_ray.learn.regressors import (
    ELASTIC_NET_PENALTIES,
    PLS_COMPONENTS,
    judge_elastic_net,
    judge_pls,
)
from histo_ray.learn.ridge import RIDGE_PENALTIES, judge_ridge

__all__ = [
    "OUTCOME_HEADS",
    "FoldAnswer",
    "OutcomeData",
    "OutcomeHead",
    "OutcomeSettings",
    "RepeatAnswer",
    "judge_outcome_fold",
    "judge_outcome_repeat",
]

FEWEST = 3
"""Labelled patients of a training part, below which nothing is trained."""


@dataclass(frozen=True)
class OutcomeHead:
    """A row of the table of heads."""

    judge: Callable[[FoldData], FoldAnswer]
    tasks: tuple[str, ...]
    choices: tuple[float, ...]
    """Used unless settings name others."""
    chooses: str
    """What `choices` are."""


OUTCOME_HEADS: dict[OutcomeHeadName, OutcomeHead] = {
    "ridge": OutcomeHead(
        judge_ridge, ("expression",), RIDGE_PENALTIES, "penalty, times the number of features"
    ),
    "pls": OutcomeHead(judge_pls, ("expression",), PLS_COMPONENTS, "components"),
    "elastic-net": OutcomeHead(
        judge_elastic_net,
        ("expression",),
        ELASTIC_NET_PENALTIES,
        "penalty, as a share of the smallest that leaves no feature in",
    ),
    "logistic": OutcomeHead(
        judge_logistic_outcomes,
        ("mutation",),
        LOGISTIC_PENALTIES,
        "penalty, times the number of features; scikit-learn's C is its inverse",
    ),
}


@dataclass(frozen=True)
class OutcomeData:
    """Patients in one encoder's eyes, and what is known of them."""

    features: npt.NDArray[np.floating]
    """(P, D) finite."""
    targets: npt.NDArray[np.float64]
    """(P, T) nan: no label; mutation: 0.0 or 1.0."""
    names: tuple[str, ...]
    """(T,) of the targets."""
    groups: Sequence[str] | None = None
    """(P,) what stays together in inner folds, as a site; None: each patient is on its own."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other or are not finite."""
        rows, count = self.targets.shape
        if len(self.features) != rows or len(self.names) != count:
            raise ConfigError(
                f"outcome data: features {self.features.shape}, targets {self.targets.shape}, "
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


def judge_outcome_fold(
    data: OutcomeData,
    parts: npt.NDArray[np.integer],
    fold: int,
    settings: OutcomeSettings,
    seed: Sequence[int] = (0,),
) -> FoldAnswer:
    """Train on all other folds, judge this one.

    Targets that lack the same patients of the training part are solved together, so usually all
    share one decomposition.

    Args:
        data: All patients.
        parts: (P,) fold of each patient; below 0: in none, neither trained on nor judged.
        fold: The one to judge.
        settings: Head and how it chooses.
        seed: Of inner folds, as (seed, repeat); the fold is added here.

    Returns:
        Answer for the rows of `fold`, in their order.

    Raises:
        ConfigError: Too few patients, or one class, of a target in the training part.
    """
    head = OUTCOME_HEADS[settings.head]
    judged = np.flatnonzero(parts == fold)
    trained = np.flatnonzero((parts >= 0) & (parts != fold))
    numbers = None if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    inner_seed = int(np.random.SeedSequence([*seed, fold]).generate_state(1)[0])
    count = len(data.names)
    answer = FoldAnswer(np.empty((len(judged), count)), np.empty(count), np.empty(count))
    for some, columns in _group_columns(~np.isnan(data.targets[trained])):
        rows = trained[some]
        if len(rows) < FEWEST:
            raise ConfigError(
                f"target {data.names[columns[0]]}: only {len(rows)} labelled patients outside fold "
                f"{fold}, but training needs {FEWEST}; leave the target out"
            )
        train, others = standardise_by(
            data.features[rows].astype(np.float64), data.features[judged].astype(np.float64)
        )
        found = head.judge(
            FoldData(
                train,
                data.targets[np.ix_(rows, columns)],
                others,
                tuple(data.names[column] for column in columns),
                None if numbers is None else numbers[rows],
                inner_seed,
                settings.choices or head.choices,
                settings.inner_folds,
            )
        )
        answer.predicted[:, columns] = found.predicted
        answer.choice[columns], answer.inner_score[columns] = found.choice, found.inner_score
    answer.predicted[np.isnan(data.targets[judged])] = np.nan
    return answer


def judge_outcome_repeat(
    data: OutcomeData,
    parts: npt.NDArray[np.integer],
    settings: OutcomeSettings,
    seed: Sequence[int] = (0,),
) -> RepeatAnswer:
    """Judge every fold of a repeat.

    Args:
        data: All P patients.
        parts: (P,) fold of each patient, 0..F-1; below 0: in none.
        settings: Head and how it chooses.
        seed: Of inner folds, as (seed, repeat).

    Raises:
        ConfigError: As `judge_outcome_fold`.
    """
    count, n_folds = len(data.names), int(parts.max()) + 1
    predicted = np.full((len(parts), count), np.nan)
    choice, inner_score = np.empty((n_folds, count)), np.empty((n_folds, count))
    for fold in range(n_folds):
        found = judge_outcome_fold(data, parts, fold, settings, seed)
        predicted[parts == fold] = found.predicted
        choice[fold], inner_score[fold] = found.choice, found.inner_score
    return RepeatAnswer(predicted, choice, inner_score)


def _group_columns(
    labelled: npt.NDArray[np.bool_],
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Targets by which rows have a label: (rows that have one, columns), each column once."""
    if labelled.all():
        yield np.arange(labelled.shape[0]), np.arange(labelled.shape[1])
        return
    patterns, which = np.unique(np.packbits(labelled, axis=0), axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        columns = np.flatnonzero(which.ravel() == number)
        yield np.flatnonzero(labelled[:, columns[0]]), columns
