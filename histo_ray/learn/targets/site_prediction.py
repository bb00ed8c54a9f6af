"""How well embeddings tell the site that a patient's slides come from. Pure.

One logistic regression a site against all others, on pooled features, in cross-validation. The
penalty is fixed, so nothing is chosen and the work is bounded: what is found is what can be told at
least.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.learn.fold_data import standardise_by
from histo_ray.learn.kernel_logistic import fit_logistic_path
from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.within_fold import area_ends, measure_error, pool_auroc
from histo_ray.schema import arrow_schema

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.integer]
Row = dict[str, str | int | float]

PENALTY = 0.1
"""Of all regressions, times the number of features: scikit-learn's C is 1 / (penalty * D)."""


class SiteTruth(NamedTuple):
    """Patients whose site is to be told."""

    names: tuple[str, ...]
    """(S,) sites."""
    sites: Ids
    """(P,) number of each patient's site, 0..S-1."""
    fold_ids: Ids
    """(R, P) fold that tests each patient."""
    persons: Ids
    """(P,) who is one person, and so in one fold."""


def predict_sites(features: npt.NDArray[np.floating], truth: SiteTruth) -> Floats:
    """Predict the site of every patient out of fold.

    Args:
        features: (P, D).
        truth: Sites and folds; every training part has every site.

    Returns:
        (R, P, S) log-odds of each site against all others.
    """
    values = features.astype(np.float64)
    found = np.empty((*truth.fold_ids.shape, len(truth.names)))
    for repeat, ids in enumerate(truth.fold_ids):
        for fold in np.unique(ids):
            tested = np.flatnonzero(ids == fold)
            trained = np.flatnonzero(ids != fold)
            train, test = standardise_by(values[trained], values[tested])
            gram, products = train @ train.T, test @ train.T
            for site in range(len(truth.names)):
                labels = (truth.sites[trained] == site).astype(np.float64)
                (fit,) = fit_logistic_path(gram, labels, [PENALTY * train.shape[1]])
                found[repeat, tested, site] = products @ fit.weights + fit.bias
    return found


def tabulate_site_prediction(truth: SiteTruth, predictions: Mapping[str, Floats]) -> pa.Table:
    """Score predicted sites, as rows of `schemas/outcome_site_prediction.json`.

    Args:
        truth: Sites and folds.
        predictions: (R, P, S) log-odds by encoder.
    """
    rows = [
        {"encoder": encoder, **row}
        for encoder, odds in predictions.items()
        for row in _score(truth, odds)
    ]
    return pa.Table.from_pylist(rows, arrow_schema("outcome_site_prediction"))


def _score(truth: SiteTruth, odds: Floats) -> Iterator[Row]:
    """The mean over sites, then each site."""
    count = len(truth.names)
    right = (odds.argmax(2) == truth.sites).mean(0)  # (P,) over repeats
    areas, influences, rows = np.empty(count), np.empty((count, len(truth.sites))), []
    recalls, recall_influence = np.empty(count), np.zeros(len(truth.sites))
    for site, name in enumerate(truth.names):
        own = truth.sites == site
        area = pool_auroc(own.astype(np.float64), odds[:, :, site], truth.fold_ids)
        areas[site], influences[site] = area
        recalls[site] = right[own].mean()
        each = np.where(own, right - recalls[site], 0.0) / np.sqrt(own.sum() * (own.sum() - 1))
        recall_influence += each / count
        sizes = (int(own.sum()), int((~own).sum()))
        rows += [
            _row(name, sizes[0], "auroc", 0.5, _ends(truth, area.score, area.influence, sizes)),
            _row(name, sizes[0], "recall", 1 / count, _ends(truth, recalls[site], each, sizes)),
        ]
    smallest = min(int((truth.sites == site).sum()) for site in range(count))
    sizes = (smallest, len(truth.sites) - smallest)
    area_of_all = _ends(truth, float(areas.mean()), influences.mean(0), sizes)
    accuracy = _ends(truth, float(recalls.mean()), recall_influence, sizes)
    total = len(truth.sites)
    yield _row("", total, "auroc", 0.5, area_of_all)
    yield _row("", total, "balanced_accuracy", 1 / count, accuracy)
    yield from rows


def _ends(truth: SiteTruth, score: float, influence: Floats, sizes: Sequence[int]) -> Interval:
    error = measure_error(influence, truth.persons)
    return area_ends(score, error, (sizes[0], sizes[1]), 1.0)


def _row(site: str, patients: int, metric: str, chance: float, found: Interval) -> Row:
    return {
        "site": site,
        "n_patients": patients,
        "metric": metric,
        "chance": chance,
        "score": found.estimate,
        "low": found.low,
        "high": found.high,
    }
