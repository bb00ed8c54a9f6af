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
from histo_ray.learn.statistics.ranking import score_auprc, score_auroc

Values = npt.NDArray[np.floating]
Weights = npt.NDArray[np.float32]


def bootstrap_auroc(
    truth: Values, predicted: Values, resamples: int = 1000, seed: int = 0
) -> Resampled:
    """Mean over repeats of the AUROC over a repeat's out-of-fold predictions, and in resamples.

    Averaged over repeats, who lies above whom is one matrix a target, of positives by negatives;
    a resample weighs its rows and columns. All repeats of a patient are drawn together.

    Args:
        truth: (P, T) 0 or 1; nan: no label.
        predicted: (R, P, T); a patient who is nan in any repeat is left out of resamples.
        resamples: How many, B.
        seed: Of the draws; the same for encoders that are to be compared.

    Returns:
        nan for a target without positives or negatives.
    """
    score = mean_defined(np.stack([score_auroc(truth, repeat) for repeat in predicted]))
    draws = np.full((resamples, truth.shape[1]), np.nan, np.float32)
    for target, positive, scores in _targets(truth, predicted):
        above = np.zeros((int(positive.sum()), int((~positive).sum())), np.float32)
        for one, other in zip(scores[:, positive], scores[:, ~positive], strict=True):
            above += one[:, None] > other
            above += 0.5 * (one[:, None] == other)
        above /= len(scores) * above.size
        of_positives, of_negatives = _draw_classes(positive, resamples, seed)
        draws[:, target] = np.einsum("bn,bn->b", of_positives @ above, of_negatives)
    return Resampled(score, draws)


def bootstrap_auprc(
    truth: Values, predicted: Values, resamples: int = 1000, seed: int = 0
) -> Resampled:
    """The same for average precision; see `bootstrap_auroc`."""
    score = mean_defined(np.stack([score_auprc(truth, repeat) for repeat in predicted]))
    draws = np.full((resamples, truth.shape[1]), np.nan, np.float32)
    for target, positive, scores in _targets(truth, predicted):
        weights = np.empty((resamples, len(positive)), np.float32)
        weights[:, positive], weights[:, ~positive] = _draw_classes(positive, resamples, seed)
        total = np.zeros(resamples)
        for repeat in scores:
            total += _weigh_precision(weights, positive, repeat)
        draws[:, target] = total / len(scores)
    return Resampled(score, draws)


def _targets(
    truth: Values, predicted: Values
) -> Iterator[tuple[int, npt.NDArray[np.bool_], Values]]:
    """(target, (N,) whether positive, (R, N) predictions) of those with both classes."""
    for target in range(truth.shape[1]):
        labels, scores = truth[:, target], predicted[:, :, target]
        kept = ~np.isnan(labels) & ~np.isnan(scores).any(0)
        positive = labels[kept] > 0
        if positive.any() and not positive.all():
            yield target, positive, scores[:, kept]


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


def _weigh_precision(weights: Weights, positive: npt.NDArray[np.bool_], scores: Values) -> Floats:
    """(B,) average precision with each patient counted `weights` times."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))
    ordered = weights[:, order]
    calls = np.cumsum(ordered, axis=1)[:, last]
    hits = np.cumsum(ordered * positive[order], axis=1)[:, last]
    gains = np.diff(hits, axis=1, prepend=np.float32(0))
    precision = np.divide(hits, calls, out=np.zeros_like(hits), where=calls > 0)
    return np.asarray((gains * precision).sum(1, dtype=np.float64) / hits[:, -1])
