"""Predictions of targets as tables of scores, targets and comparisons. Pure.

tabulate_scores(truth, configuration, predictions)                     # of each configuration
scores = {name: score_encoder(truth, predicted, 1000, seed, null)} # of each encoder
tabulate_targets(truth, scores); compare_encoders(truth, scores)
"""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.learn.statistics import adjust_p, plain_t_test
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.endpoint import find_predictable
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import EncoderScores
from histo_ray.learn.targets.target_tests import test_difference
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth
from histo_ray.schema import arrow_schema, optional_names

FOLD_SCORES = ("pearson", "spearman", "r2", "auroc", "auprc")
"""Columns of `outcome_scores` that one kind of targets or another has."""
TARGET_SCORES = ("spearman", "r2", "auprc")
"""Likewise of `outcome_targets`, beside the score that decides."""


class ConfigurationPredictions(NamedTuple):
    """What one configuration predicts in all repeats and folds."""

    predicted: Predictions
    """(R, P, T); nan: not predicted."""
    choice: Predictions
    """(R, F, T)."""
    inner_score: Predictions
    """(R, F, T)."""
    selected: npt.NDArray[np.bool_]
    """(R, F, T) whether it was chosen among the encoder's configurations."""


def tabulate_scores(
    truth: TargetTruth,
    configuration: Configuration,
    predictions: ConfigurationPredictions,
    first_repeat: int = 0,
    columns_by_fold: Mapping[str, Floats] | None = None,
) -> pa.Table:
    """Tabulate one configuration as rows of `schemas/outcome_scores.json`.

    Args:
        truth: Labels and folds.
        configuration: Which it is.
        predictions: What it predicts.
        first_repeat: Number of the first of these repeats.
        columns_by_fold: (R, F, T) what every metric says of it, where it is known; None: it is
            computed.
    """
    if columns_by_fold is None:
        columns_by_fold = METRICS[truth.kind].score_columns(truth, predictions.predicted)
    counts = truth.counts
    repeats, n_folds, count = counts.n_test.shape
    nothing = np.full((repeats, n_folds, count), np.nan)
    columns = {
        "task": truth.task,
        "target": np.arange(count, dtype=np.int32),
        "encoder": configuration.encoder,
        "pooling": configuration.pooling,
        "head": configuration.head,
        "repeat": np.arange(first_repeat, first_repeat + repeats, dtype=np.int32)[:, None, None],
        "fold": np.arange(n_folds, dtype=np.int32)[:, None],
        "selected": predictions.selected,
        "n_train": counts.n_train.astype(np.int64),
        "n_test": counts.n_test.astype(np.int64),
        "positives": counts.positives.astype(np.int64),
        "choice": predictions.choice,
        "inner_score": predictions.inner_score,
        **dict.fromkeys(FOLD_SCORES, nothing),
        **columns_by_fold,
    }
    return _tabulate("outcome_scores", columns, truth.targets, (repeats, n_folds, count))


def tabulate_targets(truth: TargetTruth, scores: Mapping[str, EncoderScores]) -> pa.Table:
    """Tabulate every encoder and target as rows of `schemas/outcome_targets.json`."""
    labelled = ~np.isnan(truth.values)
    positive = labelled & (truth.values > 0) & truth.kind.has_positives
    tables = []
    for encoder, found in scores.items():
        columns = {
            "task": truth.task,
            "target": np.arange(len(truth.targets), dtype=np.int32),
            "encoder": encoder,
            "metric": METRICS[truth.kind].name,
            "n_patients": labelled.sum(0),
            "positives": positive.sum(0),
            "score": found.resampled.score,
            "low": found.interval.low,
            "high": found.interval.high,
            **dict.fromkeys(TARGET_SCORES, np.full(len(truth.targets), np.nan)),
            **found.others,
            "p_chance": found.p_chance,
            "q_chance": found.q_chance,
            "p_paper": found.p_paper,
        }
        tables.append(_tabulate("outcome_targets", columns, truth.targets, (len(truth.targets),)))
    return pa.concat_tables(tables)


def compare_encoders(truth: TargetTruth, scores: Mapping[str, EncoderScores]) -> pa.Table:
    """Compare every pair of encoders, in order, as rows of `schemas/outcome_comparisons.json`.

    `q_corrected` is over all targets of a pair, `q_found` over those that both encoders together
    predict better than chance. Intervals are those of the test that gives P, cut at the largest
    difference that two scores can have, so they leave out 0 where P < 0.05, and only there.
    """
    tables = [arrow_schema("outcome_comparisons").empty_table()]
    count = len(truth.targets)
    for (a, one), (b, other) in itertools.combinations(scores.items(), 2):
        folds = (other.by_fold - one.by_fold).reshape(-1, count).T
        test = test_difference(truth, other.by_fold - one.by_fold)
        untested = truth.support.untested
        columns = {
            "task": truth.task,
            "target": np.arange(count, dtype=np.int32),
            "encoder_a": a,
            "encoder_b": b,
            "metric": METRICS[truth.kind].name,
            "score_a": one.resampled.score,
            "score_b": other.resampled.score,
            "difference": other.resampled.score - one.resampled.score,
            "low": np.maximum(test.low, -METRICS[truth.kind].scale.span),
            "high": np.minimum(test.high, METRICS[truth.kind].scale.span),
            "p_corrected": test.p,
            "q_corrected": adjust_p(test.p),
            "p_plain": np.where(untested, np.nan, plain_t_test(folds).p),
            "p_delong": np.full(count, np.nan),
            **find_predictable(truth, one, other, test.p)._asdict(),
        }
        tables.append(_tabulate("outcome_comparisons", columns, truth.targets, (count,)))
    return pa.concat_tables(tables)


def _tabulate(
    name: str, columns: Mapping[str, Any], targets: tuple[str, ...], shape: tuple[int, ...]
) -> pa.Table:
    """Columns that are one text, or broadcast to `shape`; targets are numbers into their names."""
    own = tuple(column for column in optional_names(name) if column in columns)
    schema = arrow_schema(name, optional=own)
    names = pa.array(targets, pa.string())
    size = int(np.prod(shape))
    arrays = []
    for field in schema:
        value = columns[field.name]
        if isinstance(value, str):
            arrays.append(pa.repeat(pa.scalar(value, field.type), size))
            continue
        flat = pa.array(np.ascontiguousarray(np.broadcast_to(value, shape)).reshape(-1))
        arrays.append(names.take(flat) if field.name == "target" else flat.cast(field.type))
    return pa.table(arrays, schema)
