"""Scores of survival on patients that a predictor has not seen. Pure."""

from collections.abc import Mapping

import numpy as np

from histo_ray.learn.statistics import (
    Interval,
    censoring_curve,
    percentile_interval,
    resample_mean,
    score_concordance,
)
from histo_ray.learn.statistics.concordance import resample_concordance
from histo_ray.learn.statistics.draws import Floats
from histo_ray.learn.statistics.fixed_bootstrap import Weights
from histo_ray.learn.statistics.survival_calibration import compare_expected, recalibrate_hazard
from histo_ray.learn.statistics.survival_scores import weigh_squares
from histo_ray.types.signed_times import split_times


def score_times(
    signed: Floats, risks: Floats, probability: Floats, at: float, weights: Weights
) -> Mapping[str, Interval]:
    """Score one endpoint by its C-index and, where it is calibrated, at the predictor's own time.

    Args:
        signed: (N,) signed times.
        risks: (N,) higher means earlier.
        probability: (N,) of an event by the time; nan: not calibrated.
        at: The time; nan: none.
        weights: (B, N) how often each patient is drawn.

    Returns:
        By metric; nan where one is undefined. Intervals of the C-index and the Brier score are
        percentile bootstraps, the others those of their formulas.
    """
    estimate = float(score_concordance(signed[:, None], risks[:, None])[0])
    c_index = percentile_interval(estimate, resample_concordance(weights, signed, risks))
    if not len(signed) or np.isnan(at) or np.isnan(probability).any():
        return {"c_index": c_index}
    censoring = censoring_curve(*split_times(signed))
    squares = weigh_squares(signed, 1 - probability[:, None], censoring, [at])[:, 0]
    return {
        "c_index": c_index,
        "calibration_slope": recalibrate_hazard(signed, probability),
        "observed_expected": compare_expected(signed, probability, at),
        "brier": percentile_interval(float(squares.mean()), resample_mean(weights, squares)),
    }
