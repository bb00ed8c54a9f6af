"""On which inner folds the heads of an evaluation of patients choose. Pure.

All heads of a choice are scored on the same inner folds with the same groups, or the choice would
favour the head whose inner scores are the more hopeful: leaving out one patient at a time trains on
nearly everybody and, where whole sites are kept together, on the other patients of the same site.
Ridge alone, of patients who are each on their own, may leave out one at a time: all of its poolings
and penalties are then scored alike.
"""

from histo_ray.evaluate.patients.covariate_plan import COVARIATE_HEADS
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.learn.covariates import CovariateUse
from histo_ray.learn.fold_data import PatientHeadSettings, PenaltyBy
from histo_ray.learn.harmonise import Harmonise
from histo_ray.learn.heads.registry import trains_on_bags
from histo_ray.learn.targets.configurations import Configuration

INNER_CHOICE_VERSION = 2
"""Stands in the digest of runs whose ridge, or attention head beside others, chooses on shared
inner folds; before, ridge left out one patient at a time, and attention heads drew their own."""


def shares_inner_folds(plan: PatientPlan) -> bool:
    """Whether heads compete or groups stay together, so that all choose on the same inner folds."""
    if plan.config.inner_choice != "shared":
        return False
    return len(set(plan.config.head_names)) > 1 or plan.groups is not None


def count_shared_folds(plan: PatientPlan) -> int:
    """Count the inner folds that attention heads share with heads on pooled vectors; 0: none."""
    bags = {trains_on_bags(name) for name in plan.config.head_names}
    return plan.config.inner_folds if len(bags) > 1 and shares_inner_folds(plan) else 0


def changes_choice(plan: PatientPlan) -> bool:
    """Whether ridge, or an attention head, chooses on other inner folds than before 0.5."""
    ridge = "ridge" in plan.config.head_names and shares_inner_folds(plan)
    return ridge or bool(count_shared_folds(plan))


def choose_penalty_by(plan: PatientPlan) -> PenaltyBy:
    """Tell by what logistic heads of a run choose; inner folds where the run has no such head.

    Approximate leave-one-out treats the penalties of one head alike, as ridge's does; heads that
    compete, and patients who stay together, keep to inner folds.
    """
    asked = PenaltyBy(plan.config.penalty_by)
    alone = "logistic" in plan.config.head_names and plan.groups is None
    if shares_inner_folds(plan) or not alone:
        return PenaltyBy.INNER_FOLDS
    return asked


def identify_choice(plan: PatientPlan) -> dict[str, object]:
    """List what of a run's choices bears on its name: only what earlier runs did not have."""
    found: dict[str, object] = {}
    if changes_choice(plan):
        found["inner_choice"] = INNER_CHOICE_VERSION
    chosen_by = choose_penalty_by(plan)
    if chosen_by is not PenaltyBy.INNER_FOLDS:
        found["penalty_by"] = chosen_by.value
    return found


def make_head_settings(plan: PatientPlan, configuration: Configuration) -> PatientHeadSettings:
    """Make the settings by which every fold of a run trains a configuration on pooled vectors.

    Args:
        plan: Of the run.
        configuration: Its head, and what it is trained on.
    """
    beside = configuration.use is not CovariateUse.NONE
    return PatientHeadSettings(
        configuration.head,
        (),
        plan.config.inner_folds,
        leave_one_out=not shares_inner_folds(plan),
        harmonise=Harmonise(plan.config.harmonise),
        covariates=configuration.use,
        covariate_head=COVARIATE_HEADS[plan.task.kind] if beside else "",
        penalty_by=choose_penalty_by(plan),
    )
