"""Tables that reviewers ask for: scores by site and subgroup, calibration, what sites tell."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.subgroup_columns import list_sites
from histo_ray.learn.targets.class_probabilities import tabulate_calibration
from histo_ray.learn.targets.site_means import tabulate_site_means
from histo_ray.learn.targets.subgroup_scores import tabulate_subgroups

SUBGROUPS, SITE_MEANS, SITE_PREDICTION = "subgroups", "site_means", "site_prediction"
CALIBRATION, CALIBRATION_CURVES = "calibration", "calibration_curves"
DECISION_CURVES = "decision_curves"
REVIEW_TABLES = (
    *(SUBGROUPS, SITE_MEANS, SITE_PREDICTION),
    *(CALIBRATION, CALIBRATION_CURVES, DECISION_CURVES),
)
"""All of them; a run has those that its patients and targets allow, and one of before 0.5 none."""


def tabulate_reviews(
    plan: PatientPlan, predictions: Mapping[str, npt.NDArray[np.floating]]
) -> dict[str, pa.Table]:
    """Tabulate what follows from out-of-fold predictions.

    Args:
        plan: Labels, folds, sites and subgroups.
        predictions: (R, P, T) by encoder.

    Returns:
        Tables with rows, by name; none of targets of several classes.
    """
    truth = plan.truth
    if truth.layout.coding is not None:
        return {}
    tables = {
        SUBGROUPS: tabulate_subgroups(truth, predictions, plan.subgroups.columns),
        SITE_MEANS: tabulate_site_means(truth, list_sites(plan.patients.cohort)),
        **tabulate_calibration(truth, predictions),
    }
    return {name: table for name, table in tables.items() if len(table)}
