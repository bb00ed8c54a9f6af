"""Tables that reviewers ask for: scores by site and subgroup, calibration, what sites tell."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.subgroup_columns import list_sites
from histo_ray.learn.targets.class_probabilities import tabulate_calibration
from histo_ray.learn.targets.site_means import tabulate_site_means
from histo_ray.learn.targets.subgroup_scores import (
    GroupScores,
    join_group_scores,
    score_subgroups,
    tabulate_group_scores,
)
from histo_ray.learn.targets.target_truth import Predictions, TargetTruth

SUBGROUPS, SITE_MEANS, SITE_PREDICTION = "subgroups", "site_means", "site_prediction"
CALIBRATION, CALIBRATION_CURVES = "calibration", "calibration_curves"
DECISION_CURVES = "decision_curves"
REVIEW_TABLES = (
    *(SUBGROUPS, SITE_MEANS, SITE_PREDICTION),
    *(CALIBRATION, CALIBRATION_CURVES, DECISION_CURVES),
)
"""All of them; a run has those that its patients and targets allow, and one of before 0.5 none."""


class ReviewScores(NamedTuple):
    """What reviewers ask of the predictions of some targets."""

    groups: dict[str, dict[str, GroupScores]]
    """By encoder and column."""
    site_means: pa.Table
    calibration: dict[str, pa.Table]
    """Tables of calibration, by name."""


def score_reviews(
    plan: PatientPlan, truth: TargetTruth, predictions: Mapping[str, Predictions]
) -> ReviewScores | None:
    """Score what follows from out-of-fold predictions; None for targets of several classes.

    Args:
        plan: Sites and subgroups.
        truth: The targets of the plan, or some of them.
        predictions: (R, P, T) of these by encoder.
    """
    if truth.layout.coding is not None:
        return None
    columns = plan.subgroups.columns
    return ReviewScores(
        {name: score_subgroups(truth, one, columns) for name, one in predictions.items()},
        tabulate_site_means(truth, list_sites(plan.patients.cohort)),
        tabulate_calibration(truth, predictions),
    )


def tabulate_reviews(
    plan: PatientPlan, parts: Sequence[ReviewScores | None]
) -> dict[str, pa.Table]:
    """Tabulate the scores of consecutive targets.

    Returns:
        Tables with rows, by name; none of targets of several classes.
    """
    known = [part for part in parts if part is not None]
    if not known:
        return {}
    scores = {
        name: join_group_scores([part.groups[name] for part in known]) for name in known[0].groups
    }
    tables = {
        SUBGROUPS: tabulate_group_scores(plan.truth, scores, plan.subgroups.columns),
        SITE_MEANS: pa.concat_tables([part.site_means for part in known]),
        **{
            name: pa.concat_tables([part.calibration[name] for part in known])
            for name in known[0].calibration
        },
    }
    return {name: table for name, table in tables.items() if len(table)}
