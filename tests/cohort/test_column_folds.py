"""Folds of each column: classes and quantiles have their share of each fold."""

import numpy as np
import pytest

from histo_ray.cohort.column_folds import draw_column_folds
from histo_ray.errors import ConfigError
from histo_ray.types import TargetKind

PEOPLE = [f"P{number}" for number in range(50)]


def test_every_fold_has_its_share_of_each_class_and_nobody_without_a_label() -> None:
    labels = np.repeat([0.0, 1.0, 2.0, np.nan], [20, 10, 15, 5])[:, None]
    folds = draw_column_folds(TargetKind.MULTICLASS, labels, ["c"], 5, 3, 7, PEOPLE)
    assert folds.fold_ids.shape == (1, 3, 50)
    assert folds.seeds == (7, 8, 9)
    assert (folds.fold_ids[0][:, 45:] == -1).all()
    for ids in folds.fold_ids[0]:
        for fold in range(5):
            assert np.bincount(labels[ids == fold, 0].astype(int)).tolist() == [4, 2, 3]
    with pytest.raises(ConfigError, match="column c: labels: too few items of class 1 in 10"):
        draw_column_folds(TargetKind.ORDINAL, labels, ["c"], 12, 1, 0, PEOPLE)


def test_numbers_are_spread_by_their_quantiles_and_groups_stay_whole() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2)) ** 3
    folds = draw_column_folds(TargetKind.CONTINUOUS, values, ["a", "b"], 5, 4, 0, PEOPLE)
    upper = values[:, 0] > np.median(values[:, 0])
    for ids in folds.fold_ids[0]:
        assert all(abs(upper[ids == fold].mean() - 0.5) <= 0.2 for fold in range(5))
    groups = [f"G{number // 5}" for number in range(50)]
    kept = draw_column_folds(TargetKind.CONTINUOUS, values, ["a", "b"], 5, 4, 0, groups)
    for ids in kept.fold_ids[1]:
        assert all(len(set(ids[at : at + 5])) == 1 for at in range(0, 50, 5))
