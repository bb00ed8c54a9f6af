"""What the number of independent patients or sites allows to say, in words and in `run.json`."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.patient_folds import draw_shared_folds, draw_target_folds
from histo_ray.cohort.usable_targets import prepare_labels
from histo_ray.errors import ConfigError
from histo_ray.evaluate.patient_data import task_of
from histo_ray.evaluate.patient_plan import OutcomePlan
from histo_ray.labels.label_table import (
    LabelTable,
)
from histo_ray.learn.fold_support import FEW_GROUPS, support_of
from histo_ray.learn.outcome_tests import FEWEST_ORDERS, degrees_of_freedom, too_few_orders
from histo_ray.learn.statistics import FEWEST_UNITS
from histo_ray.text import count_of, name_first

TRIED_GENES = 20
"""Genes, rarest first, whose folds are drawn to see whether a setting works."""


def describe_tests(plan: OutcomePlan) -> dict[str, Any]:
    """Splits, units and degrees of freedom for `run.json`; each as [smallest, largest] of genes."""
    truth, support = plan.truth, plan.truth.support
    free = degrees_of_freedom(truth)
    known = free[~np.isnan(free)]
    return support.describe() | {
        "units_are": f"{plan.config.keep_together}s",
        "groups": len(set(plan.patients.groups)),
        "degrees_of_freedom": [float(known.min()), float(known.max())] if len(known) else [],
        "targets_without_test": int(np.isnan(free).sum()),
    }


def tell_few_units(plan: OutcomePlan) -> Iterator[str]:
    """Caveats of tests that rest on few independent patients or sites."""
    truth, support = plan.truth, plan.truth.support
    word = "independent site" if plan.config.keep_together == "site" else "independent patient"
    rarer = " with the rarer class" if truth.task == "mutation" else ""
    names = np.array(truth.targets)
    untested = support.untested
    permuted = " of a difference between encoders" if plan.permutations else ""
    if untested.any():
        where = "" if untested.all() else f" for {name_first(names[untested].tolist())}"
        yield (
            f"too few {word}s{rarer} ({_span(support.units[untested])}) for a test over folds"
            f"{where}: no P value{permuted} and no interval is given; {FEWEST_UNITS} are needed"
        )
    few = (support.effective < FEW_GROUPS) & ~untested
    if few.any() and truth.groups is not None:
        yield (
            f"{_span(support.units[few])} {word}s{rarer} only: tests over folds have few degrees "
            f"of freedom, and below some {FEW_GROUPS} sites P values are approximate; intervals "
            "of scores resample patients, not sites"
        )
    orders = too_few_orders(truth)
    if plan.permutations and orders.any():
        within = " within sites" if truth.sites is not None else ""
        yield (
            f"labels of {count_of(int(orders.sum()), 'gene')} have fewer than "
            f"{FEWEST_ORDERS:,} different orders{within}: no P value against chance there"
        )


def suggest_site_folds(plan: OutcomePlan) -> str:
    """Which setting keeps sites together, and what it can say; for cohorts of several sites."""
    config, cohort = plan.config, plan.patients.cohort
    try:
        groups = cohort.groups("site")
    except ConfigError:  # patients with slides of several sites tie all of them together
        return "patients of several sites tie all together, so no fold can be without"
    apart = len(set(groups))
    for n_folds in range(min(config.folds, apart), 1, -1):
        labels = _try_site_folds(plan, groups, n_folds)
        if labels is None:
            continue
        fewer = f" --folds {n_folds}" if n_folds < config.folds else ""
        units = support_of(
            labels.values, np.zeros((1, len(groups)), int), groups, task_of(config) == "mutation"
        ).units
        text = f"--keep-together site{fewer} shows what is left without"
        if (units >= FEWEST_UNITS).any():
            return text
        what = "P values of differences between encoders" if plan.permutations else "P values"
        return (
            f"{text}, as scores without {what} or intervals: {apart} independent "
            f"{'sites are' if apart > 1 else 'site is'} too few for a test ({FEWEST_UNITS} needed)"
        )
    return "too few sites have both classes for folds without"


def _try_site_folds(plan: OutcomePlan, groups: Sequence[str], n_folds: int) -> LabelTable | None:
    """Labels that can be evaluated in so many folds of whole sites; None if none can."""
    config, task = plan.config, task_of(plan.config)
    try:
        labels = prepare_labels(plan.patients.cohort.labels, n_folds, config, groups)
        if task == "expression":
            draw_shared_folds(labels.values, n_folds, 1, config.seed, groups)
        else:
            rarest = np.argsort(np.nansum(labels.values, axis=0), kind="stable")[:TRIED_GENES]
            names = [labels.targets[int(at)] for at in rarest]
            draw_target_folds(labels.values[:, rarest], names, n_folds, 1, config.seed, groups)
    except ConfigError:
        return None
    return labels


def _span(values: npt.NDArray[np.int64]) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"
