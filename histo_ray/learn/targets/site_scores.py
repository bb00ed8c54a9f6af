"""Scores of each site by heads of all other sites. Pure.

A site that is left out is an external validation: its heads have seen none of its patients, so an
interval over its patients is an ordinary one. What varies between sites is more than that, which
the spread of the rows shows.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from histo_ray.learn.statistics import place_classes
from histo_ray.learn.statistics.area_interval import area_interval
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth
from histo_ray.schema import arrow_schema
from histo_ray.types import TargetKind

FEWEST_PATIENTS = 4
"""Patients of a site below which a correlation is listed without a score: its interval needs so
many, and with two it is 1 or -1 whatever was predicted."""
TABLE = "outcome_left_out_sites"
_Z = 1.959964


def tabulate_left_out_sites(
    truth: TargetTruth, predictions: Mapping[str, Predictions], sites: Sequence[str]
) -> pa.Table:
    """Tabulate every encoder, target and site as rows of `schemas/outcome_left_out_sites.json`.

    Args:
        truth: Labels, and folds of one repeat, each of which is a site.
        predictions: (1, P, T) out-of-fold predictions by encoder.
        sites: (F,) name of the site that each fold tests.
    """
    schema = arrow_schema(TABLE)
    metric, counts = METRICS[truth.kind], truth.counts
    fold, target = (at.reshape(-1) for at in np.indices((len(sites), len(truth.targets))))
    enough = (truth.kind is not TargetKind.CONTINUOUS) | (counts.n_test[0] >= FEWEST_PATIENTS)
    tables = [schema.empty_table()]
    for encoder, predicted in predictions.items():
        scores = metric.score(truth, predicted)[0]
        low, high = _find_intervals(truth, predicted, scores)
        columns = {
            "task": pa.repeat(truth.task, len(fold)),
            "target": pa.array(truth.targets).take(pa.array(target)),
            "encoder": pa.repeat(encoder, len(fold)),
            "site": pa.array(sites).take(pa.array(fold)),
            "metric": pa.repeat(metric.name, len(fold)),
            "n_train": counts.n_train[0].reshape(-1).astype(np.int64),
            "n_patients": counts.n_test[0].reshape(-1).astype(np.int64),
            "positives": counts.positives[0].reshape(-1).astype(np.int64),
            "score": np.where(enough, scores, np.nan).reshape(-1),
            "low": low.reshape(-1),
            "high": high.reshape(-1),
        }
        tables.append(pa.table({name: columns[name] for name in schema.names}).cast(schema))
    return pa.concat_tables(tables)


def fisher_interval(correlations: Floats, patients: Floats) -> tuple[Floats, Floats]:
    """95 % interval of correlations by Fisher's z; nan for fewer than `FEWEST_PATIENTS`.

    tanh(artanh r -+ 1.96 / sqrt(n - 3)): Fisher 1921, Metron 1:3.

    Args:
        correlations: Any shape; nan: undefined.
        patients: n, of the same shape.
    """
    enough = patients >= FEWEST_PATIENTS
    reach = _Z / np.sqrt(np.where(enough, patients - 3, np.nan))
    centre = np.arctanh(np.clip(correlations, -1 + 1e-12, 1 - 1e-12))
    return np.asarray(np.tanh(centre - reach)), np.asarray(np.tanh(centre + reach))


def _find_intervals(
    truth: TargetTruth, predicted: Predictions, scores: Floats
) -> tuple[Floats, Floats]:
    """(F, T) ends of the intervals of sites' scores; nan where a site has none.

    Classes of three or more have scores, but no interval here.
    """
    if truth.kind is TargetKind.CONTINUOUS:
        return fisher_interval(scores, truth.counts.n_test[0])
    low, high = np.full(scores.shape, np.nan), np.full(scores.shape, np.nan)
    if not truth.is_binary:
        return low, high
    for fold in range(len(scores)):
        values = truth.take_fold(truth.values, 0, fold)
        tested = truth.take_fold(predicted[0], 0, fold)
        for target in np.flatnonzero(~np.isnan(scores[fold])):
            found = area_interval(place_classes(values[:, target], tested[:, target][None]))
            low[fold, target], high[fold, target] = found.low, found.high
    return low, high
