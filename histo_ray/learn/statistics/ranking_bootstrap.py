"""How far AUROC and average precision could be others with other patients. Pure.

Patients are drawn within positives and within negatives (stratified): a resample has as many of
each as the cohort. So none is without positives, however rare they are, and an average precision
is that at the cohort's own share of positives. AUROC does not depend on that share.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.correlation import mean_defined
from histo_ray.learn.statistics.draws import Floats, Resampled, draw_weights
from histo_ray.learn.statistics.ranking import score_auprc

Values = npt.NDArray[np.floating]
Weights = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def bootstrap_auroc(
    truth: Values,
    predicted: Values,
    resamples: int = 1000,
    seed: int = 0,
    fold_ids: npt.NDArray[np.integer] | None = None,
) -> Resampled:
    """Mean over repeats and folds of the AUROC within a fold, and in resamples of patients.

    All repeats of a patient are drawn together.

    Args:
        truth: (P, T) 0 or 1; nan: no label.
        predicted: (R, P, T); a patient who is nan in any repeat is left out of resamples.
        resamples: How many, B.
        seed: Of the draws; the same for encoders that are to be compared.
        fold_ids: (R, P), or (T, R, P) where targets have their own, fold of each patient; < 0: in
            none. None: a repeat is one fold.

    Returns:
        nan for a target without a fold of positives and negatives; folds that lack one, as drawn,
        do not count.
    """
    score = np.full(truth.shape[1], np.nan)
    draws = np.full((resamples, truth.shape[1]), np.nan, np.float32)
    for target, repeats, kept, positive, scores in _targets(truth, predicted):
        weights = np.empty((resamples, len(positive)), np.float32)
        weights[:, positive], weights[:, ~positive] = _draw_classes(positive, resamples, seed)
        own = np.zeros(scores.shape, int)
        if fold_ids is not None:
            own = (fold_ids[target] if fold_ids.ndim == 3 else fold_ids)[repeats][:, kept]
        rows = np.concatenate([np.ones((1, len(positive)), np.float32), weights])
        areas = mean_areas(rows, positive, scores, own)
        score[target], draws[:, target] = areas[0], areas[1:]
    return Resampled(score, draws)


def draw_areas_together(
    truth: Values,
    predicted: Values,
    resamples: int,
    seed: int,
    fold_ids: npt.NDArray[np.integer],
) -> Floats:
    """AUROCs of all targets in the same resamples of patients, whatever their classes.

    Arguments as of `bootstrap_auroc`, which draws each target's patients for itself.

    Returns:
        (B, T); nan where a resample has no fold with both classes.
    """
    weights = draw_weights(len(truth), resamples, seed)
    draws = np.full((resamples, truth.shape[1]), np.nan)
    for target, repeats, kept, positive, scores in _targets(truth, predicted):
        own = (fold_ids[target] if fold_ids.ndim == 3 else fold_ids)[repeats][:, kept]
        draws[:, target] = mean_areas(weights[:, kept], positive, scores, own)
    return draws


def mean_areas(
    weights: Weights,
    positive: npt.NDArray[np.bool_],
    scores: Values,
    fold_ids: npt.NDArray[np.integer],
) -> Floats:
    """(B,) mean over repeats and folds of the AUROC with each patient counted `weights` times.

    Args:
        weights: (B, N).
        positive: (N,).
        scores: (R, N).
        fold_ids: (R, N).
    """
    total, defined = np.zeros(len(weights)), np.zeros(len(weights))
    for repeat, own in zip(scores, fold_ids, strict=True):
        for fold in range(int(own.max()) + 1):
            above, below = (np.flatnonzero((own == fold) & side) for side in (positive, ~positive))
            if not len(above) or not len(below):
                continue
            one, other = repeat[above][:, None], repeat[below]
            wins = (one > other).astype(np.float32) + np.float32(0.5) * (one == other)
            of_above, of_below = weights[:, above], weights[:, below]
            pairs = of_above.sum(1, dtype=np.float64) * of_below.sum(1, dtype=np.float64)
            found = np.einsum("bn,bn->b", of_above @ wins, of_below)
            total += np.divide(found, pairs, out=np.zeros_like(pairs), where=pairs > 0)
            defined += pairs > 0
    mean = np.divide(total, defined, out=np.full(len(total), np.nan), where=defined > 0)
    return np.asarray(mean)


def bootstrap_auprc(
    truth: Values, predicted: Values, resamples: int = 1000, seed: int = 0
) -> Resampled:
    """Mean over repeats of average precision over all predictions of a repeat, and in resamples.

    Arguments and result as of `bootstrap_auroc`. Not within folds: with one positive in a fold,
    precision there says more of the fold's size than of the scores.
    """
    score = mean_defined(np.stack([score_auprc(truth, repeat) for repeat in predicted]))
    draws = np.full((resamples, truth.shape[1]), np.nan, np.float32)
    for target, _, _, positive, scores in _targets(truth, predicted):
        weights = np.empty((resamples, len(positive)), np.float32)
        weights[:, positive], weights[:, ~positive] = _draw_classes(positive, resamples, seed)
        total = np.zeros(resamples)
        for repeat in scores:
            total += weigh_precision(weights, positive, repeat)
        draws[:, target] = total / len(scores)
    return Resampled(score, draws)


def _targets(truth: Values, predicted: Values) -> Iterator[tuple[int, Flags, Flags, Flags, Values]]:
    """Targets that have both classes.

    Yields:
        Its number; (R,) repeats in which anybody is tested; (P,) patients who count; (N,) whether
        each of these is positive; (R', N) their predictions.
    """
    for target in range(truth.shape[1]):
        labels, scores = truth[:, target], predicted[:, :, target]
        repeats = np.asarray(~np.isnan(scores).all(1))
        kept = ~np.isnan(labels) & ~np.isnan(scores[repeats]).any(0)
        positive = labels[kept] > 0
        if repeats.any() and positive.any() and not positive.all():
            yield target, repeats, kept, positive, scores[repeats][:, kept]


def _draw_classes(
    positive: npt.NDArray[np.bool_], resamples: int, seed: int
) -> tuple[Weights, Weights]:
    """(B, m) and (B, n): how often each positive and each negative is drawn."""
    first, second = np.random.SeedSequence(seed).generate_state(2)
    m = int(positive.sum())
    return (
        draw_weights(m, resamples, int(first)),
        draw_weights(len(positive) - m, resamples, int(second)),
    )


def weigh_precision(weights: Weights, positive: npt.NDArray[np.bool_], scores: Values) -> Floats:
    """Average precision with each patient counted so often as it is drawn.

    Args:
        weights: (B, N).
        positive: (N,).
        scores: (N,).

    Returns:
        (B,); nan where no positive is drawn.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))
    ordered = weights[:, order]
    calls = np.cumsum(ordered, axis=1)[:, last]
    hits = np.cumsum(ordered * positive[order], axis=1)[:, last]
    gains = np.diff(hits, axis=1, prepend=np.float32(0))
    precision = np.divide(hits, calls, out=np.zeros_like(hits), where=calls > 0)
    total, drawn = (gains * precision).sum(1, dtype=np.float64), hits[:, -1]
    share = np.divide(total, drawn, out=np.full(len(total), np.nan), where=drawn > 0)
    return np.asarray(share)
