"""Scores of classes fold by fold, target by target. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics import Resampled
from histo_ray.learn.statistics.class_scores import (
    choose_classes,
    count_confusion,
    expect_class,
    score_kappa,
    score_recalls,
)
from histo_ray.learn.statistics.correlation import mean_defined, rank_columns
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth


def take_classes(
    truth: TargetTruth, predicted: Predictions
) -> Iterator[tuple[TargetTruth, Predictions]]:
    """Yield each target alone, with fold_ids (1, R, P), and its (R, P, K) probabilities."""
    for target, part in enumerate(truth.layout.class_slices):
        one = truth.take_target(target)
        if one.fold_ids.ndim == 2:
            one = replace(one, fold_ids=one.fold_ids[None])
        yield one, predicted[:, :, part]


def score_class_folds(
    truth: TargetTruth, predicted: Predictions, score: Callable[[Floats, Floats], float]
) -> Floats:
    """Score every fold.

    Args:
        truth: Labels and folds.
        predicted: (R, P, C) probabilities of the classes of all targets.
        score: ((M,) labels, (M, K) probabilities) -> score.

    Returns:
        (R, F, T).
    """
    found = np.full((truth.repeats, truth.n_folds, len(truth.targets)), np.nan)
    for target, (one, own) in enumerate(take_classes(truth, predicted)):
        for repeat, fold in np.ndindex(found.shape[:2]):
            rows = (one.fold_ids[0, repeat] == fold) & ~np.isnan(one.values[:, 0])
            probabilities = np.asarray(own[repeat, rows], np.float64)
            found[repeat, fold, target] = score(one.values[rows, 0], probabilities)
    return found


def expect_classes(truth: TargetTruth, predicted: Predictions) -> Predictions:
    """Expect the number of each target's class, (R, P, T) of (R, P, C) probabilities."""
    return np.stack(
        [expect_class(predicted[..., part]) for part in truth.layout.class_slices], axis=-1
    )


def score_choices(
    truth: TargetTruth, predicted: Predictions, *, ordered: bool
) -> dict[str, Floats]:
    """Score the classes that would be chosen, over all predictions of a repeat, (T,) each.

    Means over repeats of accuracy, balanced accuracy (the mean of the recalls), and, where
    classes have an order, of kappa with quadratic weights.
    """
    names = ("accuracy", "balanced_accuracy", *(("kappa",) if ordered else ()))
    found = {name: np.full(len(truth.targets), np.nan) for name in names}
    for target, (one, own) in enumerate(take_classes(truth, predicted)):
        labels = one.values[:, 0]
        scores: dict[str, list[float]] = {name: [] for name in names}
        for chosen in choose_classes(own, ordered=ordered):
            confusion = count_confusion(labels, chosen, own.shape[-1])
            if not confusion.any():
                continue  # a repeat that this target lacks
            scores["accuracy"].append(float(np.trace(confusion) / confusion.sum()))
            scores["balanced_accuracy"].append(float(np.nanmean(score_recalls(confusion))))
            if ordered:
                scores["kappa"].append(score_kappa(labels, chosen))
        for name, values in scores.items():
            found[name][target] = mean_defined(np.array(values).reshape(-1, 1))[0]
    return found


def rank_within(values: Floats, fold_ids: npt.NDArray[np.integer]) -> Floats:
    """Rank (R, P) values within each fold of (R, P), divided by its patients; nan in none."""
    ranked = np.full(values.shape, np.nan)
    for repeat, own in enumerate(fold_ids):
        for fold in range(int(own.max()) + 1):
            rows = np.flatnonzero(own == fold)
            ranked[repeat, rows] = rank_columns(values[repeat, rows][:, None])[:, 0] / len(rows)
    return ranked


def join_targets(each: Iterable[Resampled]) -> Resampled:
    """Join bootstraps of one target each."""
    found = list(each)
    return Resampled(
        np.concatenate([one.score for one in found]),
        np.concatenate([one.draws for one in found], axis=1),
    )
