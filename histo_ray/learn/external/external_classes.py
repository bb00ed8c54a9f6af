"""Scores of a fixed predictor of several classes on patients that it has not seen. Pure.

What is said of each class alone is scored as of two classes (`learn.external_metrics`); here are
the scores of a whole column.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from histo_ray.learn.external.external_metrics import Draws
from histo_ray.learn.statistics import (
    Interval,
    percentile_interval,
    resample_spearman,
    score_spearman,
    wilson_interval,
)
from histo_ray.learn.statistics.class_scores import (
    choose_classes,
    count_confusion,
    expect_class,
    score_kappa,
    score_macro_auroc,
    score_recalls,
)
from histo_ray.learn.statistics.fixed_bootstrap import Weights
from histo_ray.learn.statistics.ranking_bootstrap import mean_areas

Floats = npt.NDArray[np.float64]


def score_column(
    truth: Floats, probabilities: Floats, draws: Draws, *, ordered: bool
) -> Mapping[str, Interval]:
    """Score the classes of one column.

    Args:
        truth: (N,) numbers of classes.
        probabilities: (N, K) of each class, adding up to 1.
        draws: Of the bootstrap over patients.
        ordered: Whether the classes have an order.

    Returns:
        By metric; accuracy with Wilson's interval, the others with the percentiles of the
        bootstrap. Empty without patients, or with one class alone.
    """
    if len(np.unique(truth)) < 2:
        return {}
    count = probabilities.shape[1]
    weights = draws.weights(len(truth))
    chosen = choose_classes(probabilities, ordered=ordered)
    right = chosen == truth
    recalls = score_recalls(count_confusion(truth, chosen, count))
    found = {
        "accuracy": wilson_interval(int(right.sum()), len(right)),
        "balanced_accuracy": percentile_interval(
            float(np.nanmean(recalls)), _resample_recalls(weights, truth, right, count)
        ),
    }
    if not ordered:
        found["macro_auroc"] = percentile_interval(
            score_macro_auroc(truth, probabilities), _resample_areas(weights, truth, probabilities)
        )
        return found
    expected = expect_class(probabilities)
    found["kappa"] = percentile_interval(
        score_kappa(truth, chosen), resample_kappa(weights, truth, chosen)
    )
    found["spearman"] = percentile_interval(
        float(score_spearman(truth[:, None], expected[:, None])[0]),
        resample_spearman(weights, truth, expected),
    )
    return found


def _resample_recalls(
    weights: Weights, truth: Floats, right: npt.NDArray[np.bool_], count: int
) -> Floats:
    """(B,) mean recall of the classes that are drawn."""
    sides = (truth[:, None] == np.arange(count)).astype(np.float64)
    rows, hits = weights @ sides, weights @ (sides * right[:, None])
    share = np.divide(hits, rows, out=np.full(rows.shape, np.nan), where=rows > 0)
    return np.asarray(np.nanmean(share, axis=1))


def _resample_areas(weights: Weights, truth: Floats, probabilities: Floats) -> Floats:
    """(B,) mean over classes of the AUROC of each against all others."""
    nobody = np.zeros((1, len(truth)), int)
    each = [
        mean_areas(weights, truth == number, probabilities[None, :, number], nobody)
        for number in np.unique(truth).astype(int)
    ]
    return np.asarray(np.nanmean(each, axis=0))


def resample_kappa(weights: Weights, truth: Floats, chosen: Floats) -> Floats:
    """(B,) kappa with quadratic weights: 1 less the mean square of misses over the expected one.

    Expected, if both were independent: the sum of their variances and of the square of the
    difference of their means (Fleiss and Cohen 1973, Educ Psychol Meas 33:613).
    """
    total = weights.sum(1, dtype=np.float64)

    def mean(values: Floats) -> Floats:
        return np.asarray((weights @ values) / total)

    one, other = mean(truth), mean(chosen)
    spread = mean(truth**2) - one**2 + mean(chosen**2) - other**2 + (one - other) ** 2
    missed = mean((truth - chosen) ** 2)
    share = np.divide(missed, spread, out=np.full(len(total), np.nan), where=spread > 1e-12)
    return np.asarray(1 - share)
