"""What images add to covariates, target by target. Pure.

Two things are told. The difference of the scores says how much better predictions become. Whether
images say anything that covariates do not is tested otherwise: where they say nothing, a further
part of a prediction is noise that lowers the score, so a test of the difference hardly ever rejects
(Pepe, Kerr, Longton and Wang 2013, Stat Med 32:1467: to test whether a predictor adds to others,
test its association given the others, not the improvement of a score). Here it is the correlation,
in each test part, of what images add to the prediction with what the covariates leave of the label:
0 on average where images say nothing, tested over folds like every score.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import logit

from histo_ray.learn.statistics import adjust_p, score_pearson
from histo_ray.learn.statistics.correlation import mean_defined
from histo_ray.learn.targets.added_value import SUREST
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import EncoderScores
from histo_ray.learn.targets.target_tests import test_difference
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth
from histo_ray.schema import arrow_schema

TABLE = "outcome_added_value"


class AddedScores(NamedTuple):
    """Scores of images beyond covariates, and what images add in each fold."""

    scores: EncoderScores
    by_fold: Floats
    """(R, F, T) from `correlate_added`."""


class ScoredPredictions(NamedTuple):
    """Out-of-fold predictions and their scores."""

    predicted: Predictions
    """(R, P, T)."""
    scores: EncoderScores


def tabulate_added_value(
    truth: TargetTruth, alone: ScoredPredictions, both: Mapping[str, ScoredPredictions]
) -> pa.Table:
    """Tabulate every encoder and target as rows of `schemas/outcome_added_value.json`.

    q is over the targets of an encoder. Intervals are those of the tests that give P.

    Args:
        truth: Labels and folds.
        alone: Covariates alone.
        both: Images beyond covariates, by encoder; same patients and folds.
    """
    added = {
        encoder: AddedScores(one.scores, correlate_added(truth, alone.predicted, one.predicted))
        for encoder, one in both.items()
    }
    return tabulate_added_scores(truth, alone.scores, added)


def tabulate_added_scores(
    truth: TargetTruth, alone: EncoderScores, both: Mapping[str, AddedScores]
) -> pa.Table:
    """Tabulate as `tabulate_added_value` does, from what predictions were scored to."""
    schema = arrow_schema(TABLE)
    tables = [schema.empty_table()]
    count = len(truth.targets)
    for encoder, (scores, folds) in both.items():
        change = test_difference(truth, scores.by_fold - alone.by_fold)
        partial = test_difference(truth, folds)
        columns = {
            "task": pa.repeat(truth.task, count),
            "target": pa.array(truth.targets),
            "encoder": pa.repeat(encoder, count),
            "metric": pa.repeat(METRICS[truth.kind].name, count),
            "score_covariates": alone.resampled.score,
            "score_both": scores.resampled.score,
            "difference": scores.resampled.score - alone.resampled.score,
            "low": change.low,
            "high": change.high,
            "p_difference": change.p,
            "partial": mean_defined(folds.reshape(-1, count)),
            "partial_low": partial.low,
            "partial_high": partial.high,
            "p_added": partial.p,
            "q_added": adjust_p(partial.p),
        }
        tables.append(pa.table({name: columns[name] for name in schema.names}).cast(schema))
    return pa.concat_tables(tables)


def correlate_added(truth: TargetTruth, alone: Predictions, both: Predictions) -> Floats:
    """Correlate what images add with what covariates leave, in each fold.

    Args:
        truth: Labels and folds.
        alone: (R, P, T) by covariates alone: values, or probabilities.
        both: (R, P, T) by images beyond covariates.

    Returns:
        (R, F, T); nan where a fold has fewer than two patients, or either does not vary. Of classes
        what images add is in log-odds.
    """
    found = np.empty((truth.repeats, truth.n_folds, len(truth.targets)))
    for repeat in range(truth.repeats):
        known, whole = (np.asarray(one[repeat], np.float64) for one in (alone, both))
        left = truth.values - known
        added = _log_odds(whole) - _log_odds(known) if truth.is_binary else whole - known
        for fold in range(truth.n_folds):
            found[repeat, fold] = score_pearson(
                truth.take_fold(left, repeat, fold), truth.take_fold(added, repeat, fold)
            )
    return found


def _log_odds(probabilities: Floats) -> Floats:
    return np.asarray(logit(np.clip(probabilities, SUREST, 1 - SUREST)))
