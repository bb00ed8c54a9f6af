"""What the number of independent patients or sites allows to say."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from histo_ray.cohort.usable_targets import prepare_labels
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import Caveat, CaveatCode, SiteRemedy, caveat
from histo_ray.evaluate.evaluation_record import TestsRecord
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.labels.label_table import LabelTable
from histo_ray.learn.statistics import FEWEST_UNITS
from histo_ray.learn.targets.fold_support import FEW_GROUPS
from histo_ray.learn.targets.kind_support import COUNT_UNITS
from histo_ray.learn.targets.target_tests import FEWEST_ORDERS, degrees_of_freedom, too_few_orders
from histo_ray.types import TargetKind

SMALL_SITE = 10
"""Patients of a site that is left out, below which its own score is called noise."""


def describe_tests(plan: PatientPlan) -> TestsRecord:
    """Record splits, units and degrees of freedom, each as (smallest, largest) over targets."""
    truth, support = plan.truth, plan.truth.support
    free = degrees_of_freedom(truth)
    known = free[~np.isnan(free)]
    return TestsRecord(
        distinct_splits=support.split_range,
        independent_units=support.unit_range,
        units_are=f"{plan.config.keep_together}s",
        groups=len(set(plan.patients.groups)),
        degrees_of_freedom=(float(known.min()), float(known.max())) if len(known) else (),
        targets_without_test=int(np.isnan(free).sum()),
    )


def find_unit_caveats(plan: PatientPlan) -> Iterator[Caveat]:
    """Find the caveats of tests that rest on few independent patients or sites."""
    truth, support = plan.truth, plan.truth.support
    rarer, names = truth.counts_rarest, np.array(truth.targets)
    events = truth.kind is TargetKind.SURVIVAL
    unit, untested = plan.config.keep_together, support.untested
    if untested.any():
        yield caveat(
            CaveatCode.TOO_FEW_UNITS,
            unit=unit,
            rarer=rarer,
            events=events,
            low=int(support.units[untested].min()),
            high=int(support.units[untested].max()),
            targets=None if untested.all() else tuple(names[untested].tolist()),
            permuted=bool(plan.permutations),
            needed=FEWEST_UNITS,
        )
    few = (support.effective < FEW_GROUPS) & ~untested
    if few.any() and truth.groups is not None:
        yield caveat(
            CaveatCode.FEW_SITES,
            unit=unit,
            rarer=rarer,
            events=events,
            low=int(support.units[few].min()),
            high=int(support.units[few].max()),
            enough=FEW_GROUPS,
        )
    orders = too_few_orders(truth)
    if plan.permutations and orders.any():
        yield caveat(
            CaveatCode.FEW_ORDERS,
            targets=int(orders.sum()),
            fewest=FEWEST_ORDERS,
            within_sites=truth.sites is not None,
        )


def find_site_caveat(plan: PatientPlan) -> Caveat | None:
    """Find whether scores may rest on sites, and which setting would show what is left without."""
    cohort = plan.patients.cohort
    sites = {site for some in cohort.sites for site in some}
    if not sites:
        return caveat(CaveatCode.SITES_UNKNOWN)
    if len(sites) == 1:
        return caveat(CaveatCode.ONE_SITE)
    if plan.config.leave_out == "site":
        return _warn_of_small_sites(plan)
    if plan.config.keep_together == "patient":
        return _suggest_site_folds(plan, len(sites))
    return None


def _warn_of_small_sites(plan: PatientPlan) -> Caveat | None:
    counts = Counter(plan.patients.groups)
    small = sum(count < SMALL_SITE for count in counts.values())
    if not small:
        return None
    return caveat(CaveatCode.SITES_LEFT_OUT, sites=len(counts), small=small, fewest=SMALL_SITE)


def _suggest_site_folds(plan: PatientPlan, sites: int) -> Caveat:
    config = plan.config
    try:
        groups = plan.patients.cohort.groups("site")
    except ConfigError:  # patients with slides of several sites tie all of them together
        return caveat(CaveatCode.SITES_SPLIT, sites=sites, remedy=SiteRemedy.SITES_TIED.value)
    apart = len(set(groups))
    for n_folds in range(min(config.folds, apart), 1, -1):
        labels = _try_site_folds(plan, groups, n_folds)
        if labels is None:
            continue
        count_units = COUNT_UNITS[plan.task.kind]
        units = count_units(labels.values, np.zeros((1, len(groups)), int), groups, False).units
        tested = bool((units >= FEWEST_UNITS).any())
        return caveat(
            CaveatCode.SITES_SPLIT,
            sites=sites,
            remedy=(SiteRemedy.POSSIBLE if tested else SiteRemedy.UNTESTED).value,
            folds=n_folds if n_folds < config.folds else None,
            apart=apart,
            needed=FEWEST_UNITS,
            permuted=bool(plan.permutations),
        )
    return caveat(CaveatCode.SITES_SPLIT, sites=sites, remedy=SiteRemedy.TOO_FEW_SITES.value)


def _try_site_folds(plan: PatientPlan, groups: Sequence[str], n_folds: int) -> LabelTable | None:
    """Prepare labels for so many folds of whole sites; None if they cannot be drawn."""
    try:
        labels = prepare_labels(plan.patients.cohort.labels, n_folds, plan.config, groups)
        plan.task.try_folds(labels, n_folds, plan.config.seed, groups)
    except ConfigError:
        return None
    return labels
