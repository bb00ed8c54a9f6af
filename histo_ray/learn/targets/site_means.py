"""How much targets differ between sites: what is predicted of a patient by its site alone. Pure."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.learn.statistics.bootstrap import Interval
from histo_ray.learn.statistics.correlation import mean_defined
from histo_ray.learn.statistics.within_fold import measure_error
from histo_ray.learn.targets.kind_support import log_rank_scores
from histo_ray.learn.targets.subgroup_scores import GROUP_SCORES, folds_of, number_groups
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_truth import Floats, TargetTruth
from histo_ray.schema import arrow_schema
from histo_ray.types import TargetKind

Ids = npt.NDArray[np.integer]
RESIDUALS: Mapping[TargetKind, Callable[[Floats], Floats]] = {TargetKind.SURVIVAL: log_rank_scores}
"""What stands for labels that have no mean: events beyond those expected, for times."""

PRIOR = 1.0
"""Patients with the mean of the training part that are added to each site, so that a site with few
patients to train on does not decide by them alone."""


def tabulate_site_means(truth: TargetTruth, sites: Sequence[str]) -> pa.Table:
    """Score predictions by the site alone, as rows of `schemas/outcome_site_means.json`.

    Args:
        truth: Labels and folds.
        sites: (P,) site of each patient; empty: unknown, or several.

    Returns:
        A row a target; none where there are fewer than two sites, or scores of this kind of target
        have no intervals.
    """
    names, ids = number_groups(tuple(sites))
    kind = GROUP_SCORES.get(truth.kind)
    if kind is None or len(names) < 2:
        return arrow_schema("outcome_site_means").empty_table()
    predicted = predict_by_site(truth, ids)
    metric = METRICS[truth.kind]
    by_fold = metric.score(truth, predicted)
    scores = mean_defined(by_fold.reshape(-1, by_fold.shape[-1]))
    everyone = np.where((ids >= 0), 0, -1)
    influence = kind.score(truth, predicted, everyone).influence
    rows = []
    for target, name in enumerate(truth.targets):
        labels = truth.values[:, target]
        there = ~np.isnan(labels) & (ids >= 0)
        error = measure_error(influence[there, target])
        score = float(scores[target])
        flat = error == 0  # the same for all of a fold, as where sites are kept together
        found = (
            Interval(np.nan, np.nan, np.nan)
            if flat or not kind.has_enough(labels[there])
            else kind.find_ends(score, error, labels[there], 1.0)
        )
        rows.append(
            {
                "task": truth.task,
                "target": name,
                "n_patients": int(there.sum()),
                "n_sites": len(np.unique(ids[there])),
                "metric": metric.name,
                "score": found.estimate,
                "low": found.low,
                "high": found.high,
                "explained": _score_explained(truth, predicted, target),
            }
        )
    return pa.Table.from_pylist(rows, arrow_schema("outcome_site_means"))


def predict_by_site(truth: TargetTruth, sites: Ids) -> Floats:
    """Predict each patient by the mean of its site in the training part, (R, P, T).

    (sum of the site's labels + PRIOR * mean) / (their number + PRIOR), all of the training part; a
    site that is not in it gets the mean. nan where a patient has no fold, site or label.

    Args:
        truth: Labels and folds.
        sites: (P,) number of each patient's site; below 0: none.
    """
    labelled = ~np.isnan(truth.values)
    filled = np.where(labelled, truth.values, 0.0)
    marks = (sites == np.arange(int(sites.max()) + 1)[:, None]).astype(np.float64)  # (S, P)
    found = np.full((truth.repeats, *truth.values.shape), np.nan)
    for repeat, fold in np.ndindex(truth.repeats, truth.n_folds):
        ids = truth.fold_ids[..., repeat, :]
        tested = (ids == fold).T if ids.ndim == 2 else (ids == fold)[:, None]  # (P, T) or (P, 1)
        trained = labelled & ((ids >= 0).T if ids.ndim == 2 else (ids >= 0)[:, None]) & ~tested
        mean = truth.counts.mean[repeat, fold]  # (T,)
        values = filled * trained
        if truth.kind in RESIDUALS:
            values, mean = _take_residuals(truth, trained), np.zeros(len(mean))
        sums, counts = marks @ values, marks @ trained
        by_site = (sums + PRIOR * mean) / (counts + PRIOR)  # (S, T)
        rows = labelled & tested & (sites >= 0)[:, None]
        found[repeat] = np.where(rows, by_site[np.maximum(sites, 0)], found[repeat])
    return found


def _take_residuals(truth: TargetTruth, trained: npt.NDArray[np.bool_]) -> Floats:
    """What stands for the labels of (P, T) training rows, 0 for others."""
    found = np.zeros(truth.values.shape)
    for target, rows in enumerate(trained.T):
        found[rows, target] = RESIDUALS[truth.kind](truth.values[rows, target])
    return found


def _score_explained(truth: TargetTruth, predicted: Floats, target: int) -> float:
    """Mean over repeats of 1 - SSE / SSE of the training part's mean; nan where it is undefined."""
    if truth.kind in RESIDUALS:
        return float("nan")
    labels, ids = truth.values[:, target], folds_of(truth, target)
    shares = []
    for repeat, one in enumerate(predicted[:, :, target]):
        known = ~np.isnan(one)
        guess = truth.counts.mean[repeat, np.maximum(ids[repeat], 0), target]
        base = ((labels - guess)[known] ** 2).sum()
        if base > 0:
            shares.append(1 - float(((labels - one)[known] ** 2).sum() / base))
    return float(np.mean(shares)) if shares else float("nan")
