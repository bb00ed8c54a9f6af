"""How well classes were told apart, where there may be more than two of them. Pure.

A patient without a label or a prediction is left out.
"""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import cohen_kappa_score

from histo_ray.learn.statistics.draws import Floats, Resampled, draw_weights
from histo_ray.learn.statistics.ranking import score_auroc
from histo_ray.learn.statistics.ranking_bootstrap import mean_areas

Values = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.integer]


def score_class_aurocs(truth: Values, probabilities: Values) -> Floats:
    """AUROC of each class against all others (one versus rest).

    Args:
        truth: (P,) numbers of classes from 0; nan: no label.
        probabilities: (P, K) of each class; nan: not predicted.

    Returns:
        (K,); nan for a class of which no patient is there, or every one.
    """
    classes = np.arange(probabilities.shape[1])
    indicators = np.where(np.isnan(truth)[:, None], np.nan, truth[:, None] == classes)
    return score_auroc(indicators, probabilities)


def score_macro_auroc(truth: Values, probabilities: Values) -> float:
    """Mean over classes of the AUROC of each class against all others.

    `sklearn.metrics.roc_auc_score(multi_class="ovr", average="macro")`, but that a class which is
    not there does not count: Fawcett 2006, Pattern Recogn Lett 27:861, section 9; each class has
    the same weight, however rare, as in the pairwise measure of Hand and Till 2001, Mach Learn
    45:171. 0.5 on average for a guess.

    Args:
        truth: (P,) numbers of classes from 0; nan: no label.
        probabilities: (P, K).

    Returns:
        nan with fewer than two classes.
    """
    found = score_class_aurocs(truth, probabilities)
    return float(np.nanmean(found)) if not np.isnan(found).all() else np.nan


def bootstrap_macro_auroc(
    truth: Values,
    probabilities: Values,
    fold_ids: Numbers,
    resamples: int = 1000,
    seed: int = 0,
) -> Floats:
    """Mean over repeats, folds and classes of the AUROC within a fold, in resamples of patients.

    Patients are drawn within classes: a resample has as many of each as the cohort.

    Args:
        truth: (P,) numbers of classes from 0; nan: no label.
        probabilities: (R, P, K); a patient who is nan in any repeat of the folds is left out.
        fold_ids: (R, P) fold of each patient; below 0: in none.
        resamples: How many, B.
        seed: Of the draws; the same for encoders that are to be compared.

    Returns:
        (B,); nan where there is no class to be told from others.
    """
    weights = np.zeros((resamples, len(truth)), np.float32)
    classes = np.unique(truth[~np.isnan(truth)]).astype(np.intp)
    seeds = np.random.SeedSequence(seed).generate_state(probabilities.shape[-1])
    for number in classes:
        rows = np.flatnonzero(truth == number)
        weights[:, rows] = draw_weights(len(rows), resamples, int(seeds[number]))
    return draw_macro_areas(truth, probabilities, fold_ids, weights)


def draw_macro_areas(
    truth: Values, probabilities: Values, fold_ids: Numbers, weights: npt.NDArray[np.float32]
) -> Floats:
    """As `bootstrap_macro_auroc`, with (B, P) how often each patient is drawn."""
    there = (fold_ids >= 0).any(1)
    probabilities, fold_ids = probabilities[there], fold_ids[there]
    kept = ~np.isnan(truth) & ~np.isnan(probabilities).any((0, 2))
    which = truth[kept].astype(np.intp)
    classes = np.unique(which)
    if len(classes) < 2 or not there.any():
        return np.full(len(weights), np.nan)
    drawn, folds = np.ascontiguousarray(weights[:, kept]), fold_ids[:, kept]
    each = [
        mean_areas(drawn, which == number, probabilities[:, kept, number], folds)
        for number in classes
    ]
    return np.asarray(np.mean(each, axis=0))


def choose_classes(probabilities: Values, *, ordered: bool) -> Floats:
    """Choose a class of each patient: the most probable one, or of ordered classes the median.

    The median is the class that makes the absolute error least, on average.

    Args:
        probabilities: (..., K); nan: not predicted.
        ordered: Whether the classes have an order.

    Returns:
        (...) numbers; nan where there is no prediction.
    """
    missing = np.asarray(np.isnan(probabilities).any(-1))
    if ordered:
        below = np.cumsum(probabilities[..., :-1], axis=-1)
        found = (below < 0.5).sum(-1)
    else:
        found = np.where(missing[..., None], 0.0, probabilities).argmax(-1)
    return np.where(missing, np.nan, found)


def count_confusion(truth: Values, chosen: Values, n_classes: int) -> Floats:
    """Count true classes by chosen ones, (K, K).

    Args:
        truth: (P,) numbers; nan: no label.
        chosen: (P,) numbers; nan: none.
        n_classes: K.
    """
    there = ~(np.isnan(truth) | np.isnan(chosen))
    table = np.zeros((n_classes, n_classes))
    np.add.at(table, (truth[there].astype(np.intp), chosen[there].astype(np.intp)), 1)
    return table


def score_recalls(confusion: Floats) -> Floats:
    """Share of each class that was recognised, (..., K); nan of one without patients."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    rows = confusion.sum(-1)
    return np.asarray(np.divide(right, rows, out=np.full(rows.shape, np.nan), where=rows > 0))


def score_kappa(truth: Values, chosen: Values) -> float:
    """Cohen's kappa with quadratic weights: agreement beyond chance, where far misses count more.

    Cohen 1968, Psychol Bull 70:213; `sklearn.metrics.cohen_kappa_score(weights="quadratic")`.
    nan where all are of one class in both.
    """
    there = ~(np.isnan(truth) | np.isnan(chosen))
    pair = truth[there].astype(int), chosen[there].astype(int)
    if not there.any() or len(np.unique(np.concatenate(pair))) < 2:
        return np.nan
    return float(cohen_kappa_score(*pair, weights="quadratic"))


def expect_class(probabilities: Values) -> Floats:
    """Expected number of the class, (...) of (..., K): the score by which patients are ordered."""
    return np.asarray(probabilities @ np.arange(probabilities.shape[-1], dtype=np.float64))


def center_draws(score: Floats, draws: Values) -> Resampled:
    """Draws of a statistic about the score that they stand for, (T,) and (B, T)."""
    with np.errstate(invalid="ignore"):
        middle = np.array([np.nanmean(d) if not np.isnan(d).all() else np.nan for d in draws.T])
    return Resampled(score, (draws - middle + score).astype(np.float32))
