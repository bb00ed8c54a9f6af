"""Tables of an external validation. Pure."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.errors import ConfigError
from histo_ray.learn.external.external_metrics import EXTERNAL_METRICS, Draws, ExternalMetric
from histo_ray.learn.statistics import Interval, adjust_p
from histo_ray.learn.statistics.calibration_scores import SlopeGap
from histo_ray.predict.card import PredictorCard, TargetCard
from histo_ray.predict.external.class_rows import list_class_rows
from histo_ray.predict.external.external_cohort import ExternalCohort
from histo_ray.schema import arrow_schema
from histo_ray.types import TargetKind

Row = dict[str, str | int | float]
Rows = Iterator[Row]

FEWEST = 5
"""Labelled patients of a group below which it has no scores."""


def metric_of(card: PredictorCard) -> ExternalMetric:
    """The scores of a predictor of patients."""
    return EXTERNAL_METRICS[TargetKind(card.kind)]


def tabulate_scores(card: PredictorCard, cohort: ExternalCohort, draws: Draws) -> pa.Table:
    """Score every target, as rows of `schemas/external_scores.json`: all patients, and each group.

    Args:
        card: Of the predictor.
        cohort: Its predictions and the truth.
        draws: Of the bootstrap.
    """
    rows = [*_score_rows(card, cohort, draws), *list_class_rows(card, cohort, draws)]
    return pa.Table.from_pylist(rows, arrow_schema("external_scores"))


def tabulate_curves(card: PredictorCard, cohort: ExternalCohort) -> pa.Table:
    """Bin every target's calibrated predictions, as rows of `schemas/external_curves.json`."""
    rows = list(_curve_rows(card, cohort))
    return pa.Table.from_pylist(rows, arrow_schema("external_curves"))


def tabulate_comparisons(
    cards: Sequence[PredictorCard], cohorts: Sequence[ExternalCohort], draws: Draws
) -> pa.Table:
    """Compare every pair of predictors, as rows of `schemas/external_comparisons.json`.

    q is over the targets of a pair and metric.

    Args:
        cards: Of predictors of one kind of targets.
        cohorts: Of each; patients and targets that both of a pair have are compared.
        draws: Of the bootstrap.

    Raises:
        ConfigError: Two predictors of other kinds of targets.
    """
    rows: list[Row] = []
    for (a, one), (b, other) in itertools.combinations(zip(cards, cohorts, strict=True), 2):
        if (a.task, a.kind) != (b.task, b.kind):
            raise ConfigError(
                f"predictors {a.name} ({a.task}) and {b.name} ({b.task}) predict other things; "
                "compare predictors of one task"
            )
        rows += _correct(list(_comparison_rows((a, b), (one, other), draws)))
    return pa.Table.from_pylist(rows, arrow_schema("external_comparisons"))


def explain_slopes(
    card: PredictorCard, cohort: ExternalCohort, scores: pa.Table
) -> dict[str, SlopeGap]:
    """Say why targets have no calibration slope, by target.

    Args:
        card: Of the predictor.
        cohort: Its predictions and the truth.
        scores: From `tabulate_scores` of the same.
    """
    frame = scores.to_pandas()
    frame = frame[(frame["column"] == "") & (frame["metric"] == "calibration_slope")]
    gaps = set(frame.loc[frame["score"].isna(), "target"])
    metric = metric_of(card)
    return {
        name: metric.explain_gap(cohort.sample(at))
        for at, name in enumerate(cohort.targets)
        if name in gaps
    }


def list_one_class(cohort: ExternalCohort) -> list[str]:
    """Targets whose labels are all alike, so that nothing can be told apart."""
    return [
        name
        for at, name in enumerate(cohort.targets)
        if len(np.unique(cohort.sample(at).truth)) < 2
    ]


def _score_rows(card: PredictorCard, cohort: ExternalCohort, draws: Draws) -> Rows:
    metric = metric_of(card)
    groups = list(_list_groups(cohort))
    for at, target in enumerate(cohort.targets):
        for column, group, rows in groups:
            sample = cohort.sample(at, rows)
            if column and len(sample.truth) < FEWEST:
                continue
            shared: Row = {
                "predictor": card.name,
                "target": target,
                "column": column,
                "group": group,
                "n_patients": len(sample.truth),
                "positives": metric.count_positives(sample),
            }
            for name, found in metric.score(sample, draws).items():
                trained = None if column else card.by_name[target]
                yield {
                    **shared,
                    "metric": name,
                    "score": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    **_name_trained(trained, name, found),
                }


def _name_trained(trained: TargetCard | None, name: str, found: Interval) -> dict[str, float]:
    """The score by cross-validation, where the card has it by this metric."""
    known = trained is not None and trained.metric == name
    figures = (trained.score, trained.low, trained.high) if trained and known else (None,) * 3
    score, low, high = (np.nan if figure is None else float(figure) for figure in figures)
    return {
        "trained": score,
        "trained_low": low,
        "trained_high": high,
        "optimism": score - found.estimate,
    }


def _list_groups(
    cohort: ExternalCohort,
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_] | None]]:
    """All patients, then the groups of each column that has more than one."""
    yield "", "", None
    for column, of_patients in cohort.groups.items():
        names = np.array(of_patients, object)
        found = sorted(set(of_patients) - {""})
        if len(found) < 2:
            continue
        for group in found:
            yield column, group, names == group


def _curve_rows(card: PredictorCard, cohort: ExternalCohort) -> Rows:
    metric = metric_of(card)
    for at, target in enumerate(cohort.targets):
        sample = cohort.sample(at)
        for number, one in enumerate(metric.bin_predictions(sample)):
            yield {
                "predictor": card.name,
                "target": target,
                "bin": number,
                "n_patients": one.n,
                "predicted": one.predicted,
                "observed": one.observed.estimate,
                "low": one.observed.low,
                "high": one.observed.high,
            }


def _comparison_rows(
    cards: tuple[PredictorCard, PredictorCard],
    cohorts: tuple[ExternalCohort, ExternalCohort],
    draws: Draws,
) -> Rows:
    (a, b), (one, other) = cards, cohorts
    metric = metric_of(a)
    there = {patient: at for at, patient in enumerate(other.patients)}
    common = [patient for patient in one.patients if patient in there]
    mine = np.array([patient in there for patient in one.patients], bool)
    theirs = np.zeros(len(other.patients), bool)
    theirs[[there[patient] for patient in common]] = True
    place: Mapping[str, int] = {name: at for at, name in enumerate(other.targets)}
    for at, target in enumerate(one.targets):
        if target not in place:
            continue
        first = one.sample(at, mine)
        second = other.sample(place[target], theirs)
        for name, found in metric.compare(first, second, draws).items():
            yield {
                "target": target,
                "metric": name,
                "predictor_a": a.name,
                "predictor_b": b.name,
                "n_patients": len(first.truth),
                "positives": metric.count_positives(first),
                "score_a": found.one,
                "score_b": found.other,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "p": found.p,
            }


def _correct(rows: list[Row]) -> list[Row]:
    """Add q, over the targets of each metric."""
    for metric in dict.fromkeys(row["metric"] for row in rows):
        own = [row for row in rows if row["metric"] == metric]
        for row, q in zip(own, adjust_p([float(row["p"]) for row in own]).tolist(), strict=True):
            row["q"] = q
    return rows
