"""Folds of endpoints: stratified by event, whole groups in one fold, too few events told."""

import numpy as np
import pytest

from histo_ray.cohort.survival_folds import draw_event_folds
from histo_ray.cohort.usable_targets import keep_usable
from histo_ray.errors import ConfigError
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.target_exclusions import TargetExclusion
from histo_ray.types import TargetKind

PATIENTS = [f"P{at:02d}" for at in range(40)]


def draw_values() -> np.ndarray:
    """A third of the first endpoint's patients has an event; of the second all; one has no time."""
    rng = np.random.default_rng(0)
    times = rng.exponential(size=(40, 2)) + 0.1
    times[:, 0] *= np.where(np.arange(40) % 3 == 0, 1, -1)
    times[7, 0] = np.nan
    return times


def test_each_fold_has_its_share_of_events() -> None:
    values = draw_values()
    folds = draw_event_folds(values, ["OS", "all"], 4, 3, 5, PATIENTS)
    assert folds.fold_ids.shape == (2, 3, 40)
    assert folds.seeds == (5, 6, 7)
    assert (folds.fold_ids[0, :, 7] == -1).all()
    for ids in folds.fold_ids[0]:
        events = [(values[ids == fold, 0] > 0).sum() for fold in range(4)]
        assert max(events) - min(events) <= 1
    assert (np.bincount(folds.fold_ids[1, 0]) == 10).all()


def test_whole_groups_stay_in_one_fold_and_too_few_events_are_named() -> None:
    values = draw_values()
    sites = [f"S{at // 4}" for at in range(40)]
    folds = draw_event_folds(values, ["OS", "all"], 4, 2, 0, sites)
    for ids in folds.fold_ids.reshape(-1, 40):
        for site in set(sites):
            own = {fold for fold, name in zip(ids, sites, strict=True) if name == site} - {-1}
            assert len(own) == 1
    few = np.where(np.arange(40) < 2, 1.0, -1.0)[:, None]
    with pytest.raises(ConfigError, match=r"endpoint OS: .*too few items of event in 2"):
        draw_event_folds(few, ["OS"], 4, 2, 0, PATIENTS)


def test_endpoints_without_enough_events_are_left_out_with_the_reason() -> None:
    values = np.column_stack([draw_values(), -np.ones(40), np.where(np.arange(40) < 3, 1.0, -1.0)])
    names = ("OS", "all", "none", "few")
    table = LabelTable(
        tuple(PATIENTS),
        names,
        values,
        (),
        "",
        "labels.csv",
        (),
        kind=TargetKind.SURVIVAL,
        noun="endpoint",
    )
    kept = keep_usable(table, 5, 0.95)
    assert kept.targets == ("OS", "all")
    reasons = {one.target: one for one in kept.dropped}
    assert reasons["none"].reason is TargetExclusion.NO_EVENTS
    assert reasons["few"].text == "3 events among 40 patients, 5 needed, one a fold"
    assert "2 endpoints left out" in kept.notes[-1]
