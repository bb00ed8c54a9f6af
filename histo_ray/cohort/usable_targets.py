"""Targets that cross-validation can score among the patients that are used. Pure."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.labels.expression_labels import transform_expression
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.rare_classes import drop_rare_classes
from histo_ray.labels.target_exclusions import ExcludedTarget, TargetExclusion
from histo_ray.learn.targets.class_codings import CODINGS
from histo_ray.text import count_of, name_some
from histo_ray.types import TargetKind

Column = npt.NDArray[np.float64]
"""(P,) values of one target; nan: missing."""
Units = npt.NDArray[np.intp]
"""(P,) group of each patient."""
Fault = tuple[TargetExclusion, str]
"""Why a target is left out, and the same with numbers in words."""


def prepare_labels(
    labels: LabelTable,
    n_folds: int,
    settings: LabelSettings,
    groups: Sequence[str] | None = None,
) -> LabelTable:
    """Labels of the patients that are used, as a head is trained on them.

    Continuous targets are transformed; those that cannot be scored are left out, as by
    `keep_usable`.

    Args:
        labels: Labels of the patients that are used.
        n_folds: Number of folds of the cross-validation.
        settings: Transform, and largest share of missing values.
        groups: (P,) group of each patient; a group stays in one fold.

    Raises:
        ConfigError: A transform that the values do not allow, or no target left.
    """
    return refuse_none(find_usable(labels, n_folds, settings, groups), n_folds)


def find_usable(
    labels: LabelTable,
    n_folds: int,
    settings: LabelSettings,
    groups: Sequence[str] | None = None,
) -> LabelTable:
    """As `prepare_labels`, but it may leave no target.

    Raises:
        ConfigError: A transform that the values do not allow.
    """
    if labels.kind is TargetKind.CONTINUOUS:
        labels = transform_expression(labels, settings.transform, settings.clip_at)
    if labels.kind in CODINGS:
        labels = drop_rare_classes(labels, n_folds, groups)
    return _leave_out(labels, n_folds, settings.max_missing, groups)


def keep_usable(
    labels: LabelTable,
    n_folds: int,
    max_missing: float = 0.2,
    groups: Sequence[str] | None = None,
) -> LabelTable:
    """Leave out targets that cannot be scored, or trained on, in some fold.

    These are targets with too many missing values; continuous ones that are the same in all
    patients, or in all but fewer than `n_folds`; binary ones with fewer positives or negatives than
    folds.

    Args:
        labels: Labels of the patients that are used.
        n_folds: Number of folds of the cross-validation.
        max_missing: Largest share of missing values.
        groups: (P,) group of each patient, if groups stay in one fold: then groups are counted.

    Returns:
        The other targets; those left out are in `dropped`, with the reason.

    Raises:
        ConfigError: None is left.
    """
    return refuse_none(_leave_out(labels, n_folds, max_missing, groups), n_folds)


def _leave_out(
    labels: LabelTable, n_folds: int, max_missing: float, groups: Sequence[str] | None
) -> LabelTable:
    units = None
    if groups is not None and len(set(groups)) < len(groups):
        units = np.unique(np.asarray(groups, str), return_inverse=True)[1]
    find = _FIND_TOO_FEW[labels.kind]

    def check(target: str, column: Column) -> ExcludedTarget | None:
        fault = _find_missing(column, max_missing) or find(column, n_folds, units)
        return None if fault is None else ExcludedTarget(target, *fault)

    kept = labels.exclude(
        [check(name, column) for name, column in zip(labels.targets, labels.values.T, strict=True)]
    )
    left = [drop.target for drop in kept.dropped[len(labels.dropped) :]]
    noun = labels.noun
    return kept.note(f"{count_of(len(left), noun)} left out ({name_some(left)})") if left else kept


def refuse_none(labels: LabelTable, n_folds: int) -> LabelTable:
    """Return labels of which a target is left.

    Raises:
        ConfigError: None is.
    """
    if labels.targets:
        return labels
    told = [f"{drop.target}: {drop.text}" for drop in labels.dropped]
    raise ConfigError(
        f"labels {labels.origin}: none of {count_of(len(told), 'target')} can be scored by "
        f"{n_folds} folds of {len(labels.patients)} patients ({'; '.join(told[:5])}"
        f"{', ...' if told[5:] else ''}); use fewer folds, or other {labels.noun}s"
    )


def _find_missing(values: Column, max_missing: float) -> Fault | None:
    """Whether too many values of a target are missing."""
    missing = np.isnan(values).mean()
    if missing == 1:
        return TargetExclusion.NO_VALUE, ""
    if missing > max_missing:
        return (
            TargetExclusion.TOO_MANY_MISSING,
            f"{missing:.1%} missing, more than {max_missing:.0%}",
        )
    return None


def _find_too_few_of_a_class(values: Column, n_folds: int, units: Units | None) -> Fault | None:
    """Whether a binary target has fewer positives or negatives than folds."""
    patients = count_of(int((~np.isnan(values)).sum()), "patient")
    for reason, state, name in (
        (TargetExclusion.TOO_FEW_POSITIVES, 1, "positive"),
        (TargetExclusion.TOO_FEW_NEGATIVES, 0, "negative"),
    ):
        found = _count(values == state, units)
        if found < n_folds:
            told = f"{count_of(found, name)}{_name_units(units)} among {patients}"
            return reason, f"{told}, {n_folds} needed, one a fold"
    return None


def _find_too_few_distinct(values: Column, n_folds: int, units: Units | None) -> Fault | None:
    """Whether fewer patients than folds differ from the commonest value of a target."""
    there = ~np.isnan(values)
    levels, counts = np.unique(values[there], return_counts=True)
    if len(levels) == 1:
        return TargetExclusion.NO_VARIANCE, ""
    found = _count(there & (values != levels[counts.argmax()]), units)
    if found >= n_folds:
        return None
    told = f"{count_of(found, 'patient')}{_name_units(units)} off the commonest value"
    return TargetExclusion.TOO_FEW_DISTINCT, f"{told}, {n_folds} needed, one a fold"


def _find_too_few_events(values: Column, n_folds: int, units: Units | None) -> Fault | None:
    """Whether fewer patients than folds have an event."""
    found = _count(values > 0, units)
    if not found:
        return TargetExclusion.NO_EVENTS, ""
    if found >= n_folds:
        return None
    patients = count_of(int((~np.isnan(values)).sum()), "patient")
    told = f"{count_of(found, 'event')}{_name_units(units)} among {patients}"
    return TargetExclusion.TOO_FEW_EVENTS, f"{told}, {n_folds} needed, one a fold"


def _find_too_few_classes(values: Column, n_folds: int, units: Units | None) -> Fault | None:
    """Whether fewer than two classes are left, once those with fewer patients than folds are."""
    left = len(np.unique(values[~np.isnan(values)]))
    if left >= 2:
        return None
    return TargetExclusion.TOO_FEW_CLASSES, f"fewer than two classes with {n_folds}, one a fold"


_FIND_TOO_FEW: dict[TargetKind, Callable[[Column, int, Units | None], Fault | None]] = {
    TargetKind.CONTINUOUS: _find_too_few_distinct,
    TargetKind.BINARY: _find_too_few_of_a_class,
    TargetKind.SURVIVAL: _find_too_few_events,
    TargetKind.MULTICLASS: _find_too_few_classes,
    TargetKind.ORDINAL: _find_too_few_classes,
}


def _name_units(units: Units | None) -> str:
    return "" if units is None else " (groups)"


def _count(flags: npt.NDArray[np.bool_], units: Units | None) -> int:
    """Count the patients, or groups of them, that are flagged."""
    return int(flags.sum()) if units is None else len(np.unique(units[flags]))
