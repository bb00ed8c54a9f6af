"""Targets that cross-validation can score among the patients that are used. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.labels.expression_labels import transform_expression
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import (
    LabelTable,
    Task,
)
from histo_ray.text import count_of, name_some


def prepare_labels(
    labels: LabelTable,
    task: Task,
    n_folds: int,
    settings: LabelSettings,
    groups: Sequence[str] | None = None,
) -> LabelTable:
    """Labels of the patients that are used, as a head is trained on them.

    Expression is transformed; targets that cannot be scored are left out (see `keep_usable`).

    Args:
        labels: Labels of the patients that are used.
        task: expression or mutation.
        n_folds: Number of folds of the cross-validation.
        settings: Transform, and largest share of missing values.
        groups: (P,) group of each patient; a group stays in one fold.

    Raises:
        ConfigError: A transform that the values do not allow, or no target left.
    """
    if task == "expression":
        labels = transform_expression(labels, settings.transform, settings.clip_at)
    return keep_usable(labels, task, n_folds, settings.max_missing, groups)


def keep_usable(
    labels: LabelTable,
    task: Task,
    n_folds: int,
    max_missing: float = 0.2,
    groups: Sequence[str] | None = None,
) -> LabelTable:
    """Leave out targets that cannot be scored, or trained on, in some fold.

    These are targets with too many missing values; expression that is the same in all patients, or
    in all but fewer than `n_folds`; mutations with fewer positives or negatives than folds.

    Args:
        labels: Labels of the patients that are used.
        task: expression or mutation.
        n_folds: Number of folds of the cross-validation.
        max_missing: Largest share of missing values.
        groups: (P,) group of each patient, if groups stay in one fold: then groups are counted.

    Returns:
        The other targets; those left out are in `dropped`, with the reason.

    Raises:
        ConfigError: None is left.
    """
    units = None
    if groups is not None and len(set(groups)) < len(groups):
        units = np.unique(np.asarray(groups, str), return_inverse=True)[1]
    reasons = [_find_fault(column, task, n_folds, max_missing, units) for column in labels.values.T]
    kept = labels.keep(reasons)
    if not kept.targets:
        told = [f"{drop.target}: {drop.reason}" for drop in kept.dropped]
        raise ConfigError(
            f"labels {labels.origin}: none of {count_of(len(told), 'target')} can be scored by "
            f"{n_folds} folds of {len(labels.patients)} patients ({'; '.join(told[:5])}"
            f"{', ...' if told[5:] else ''}); use fewer --folds, or other genes"
        )
    left = [drop.target for drop in kept.dropped[len(labels.dropped) :]]
    return (
        kept.note(f"{count_of(len(left), 'gene')} left out ({name_some(left)})") if left else kept
    )


def _find_fault(
    values: npt.NDArray[np.float64],
    task: Task,
    n_folds: int,
    max_missing: float,
    units: npt.NDArray[np.intp] | None,
) -> str:
    """Why a target is left out; empty if it is not."""
    there = ~np.isnan(values)
    missing = (~there).mean()
    if not there.any():
        return "no value"
    if missing > max_missing:
        return f"{missing:.1%} missing, more than {max_missing:.0%}"
    needed = f"{n_folds} needed, one a fold"
    among = "" if units is None else " (groups)"
    if task == "mutation":
        for state, name in ((1, "positive"), (0, "negative")):
            found = _count(values == state, units)
            if found < n_folds:
                patients = count_of(int(there.sum()), "patient")
                return f"{count_of(found, name)}{among} among {patients}, {needed}"
        return ""
    levels, counts = np.unique(values[there], return_counts=True)
    if len(levels) == 1:
        return "no variance"
    found = _count(there & (values != levels[counts.argmax()]), units)
    if found >= n_folds:
        return ""
    return f"{count_of(found, 'patient')}{among} off the commonest value, {needed}"


def _count(flags: npt.NDArray[np.bool_], units: npt.NDArray[np.intp] | None) -> int:
    """Patients, or groups of them, that are flagged."""
    return int(flags.sum()) if units is None else len(np.unique(units[flags]))
