from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo_ray.cohort.fold_table import parse_folds, tabulate_folds
from histo_ray.cohort.folds import (
    draw_folds,
    find_distinct,
    join_groups,
)
from histo_ray.errors import ConfigError
from histo_ray.schema import arrow_schema

LABELS = ["ADI"] * 30 + ["LYM"] * 20 + ["TUM"] * 55
ITEMS = [str(number) for number in range(len(LABELS))]
GROUPS = [f"p{number % 13}" for number in range(len(LABELS))]


def test_every_item_is_judged_once_a_repeat_and_each_fold_has_its_share() -> None:
    folds = draw_folds(LABELS, n_folds=5, repeats=4, seed=3)
    assert folds.fold_ids.shape == (4, 105)
    assert folds.seeds == (3, 4, 5, 6)
    for part in folds.fold_ids:
        for name, share in (("ADI", 6), ("LYM", 4), ("TUM", 11)):
            assert np.bincount(part[np.array(LABELS) == name]).tolist() == [share] * 5


def test_repeats_differ_and_a_seed_gives_the_same_again() -> None:
    folds = draw_folds(LABELS, 5, 6, seed=0, groups=GROUPS)
    assert len({part.tobytes() for part in folds.fold_ids}) == 6
    again = draw_folds(LABELS, 5, 3, seed=3, groups=GROUPS)
    np.testing.assert_array_equal(again.fold_ids, folds.fold_ids[3:])


@settings(max_examples=25)
@given(seed=st.integers(0, 500), n_folds=st.integers(2, 6))
def test_no_group_is_in_two_folds(seed: int, n_folds: int) -> None:
    groups = [f"p{n}" for n in np.random.default_rng(seed).integers(0, 40, 300)]
    labels = ["a", "b", "c"] * 100
    folds = draw_folds(labels, n_folds, 2, seed, groups)
    for part in folds.fold_ids:
        for group in set(groups):
            assert len(set(part[np.array(groups) == group])) == 1


def test_sites_are_kept_whole_and_a_patient_of_two_sites_joins_them() -> None:
    patients = ["p1", "p1", "p2", "p3", "p3", "p4"]
    sites = ["05", "05", "05", "44", "49", "49"]
    assert join_groups(patients, sites) == ("05", "05", "05", "44", "44", "44")


@pytest.mark.parametrize(
    ("labels", "groups", "told"),
    [
        (["a"] * 9, None, "only one class"),
        (["a"] * 9 + ["b"] * 3 + ["c"] * 4, None, "too few items of b in 3, c in 4 for 5 folds"),
        (
            ["a", "b"] * 9,
            ["p", "q"] * 9,
            "too few groups of a in 1, b in 1 for 5 folds, which need 5",
        ),
    ],
)
def test_too_few_of_a_class_is_told_with_numbers(
    labels: list[str], groups: list[str] | None, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        draw_folds(labels, 5, 1, 0, groups)


def test_folds_come_back_from_a_parquet_file_as_they_were(tmp_path: Path) -> None:
    folds = draw_folds(LABELS, 5, 3, seed=11, groups=GROUPS)
    table = tabulate_folds(folds, ITEMS)
    assert table.schema == arrow_schema("folds")
    pq.write_table(table.take(np.random.default_rng(0).permutation(len(table))), tmp_path / "f")
    back = parse_folds(pq.read_table(tmp_path / "f"), ITEMS, LABELS, GROUPS)
    np.testing.assert_array_equal(back.fold_ids, folds.fold_ids)
    assert (back.seeds, back.groups, back.n_folds) == (folds.seeds, tuple(GROUPS), 5)


def drop_rows(table: pa.Table) -> pa.Table:
    return table.slice(2)


def rename_item(table: pa.Table) -> pa.Table:
    names = [f"x{name}" if name == "7" else name for name in table["item"].to_pylist()]
    return table.set_column(0, "item", pa.array(names))


def move_one(table: pa.Table) -> pa.Table:
    fold = table["fold"].to_pylist()
    fold[0] = (fold[0] + 1) % 5
    return table.set_column(3, "fold", pa.array(fold, pa.int32()))


def double_row(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(4, 1)])


def one_fold(table: pa.Table) -> pa.Table:
    return table.set_column(3, "fold", pa.array([0] * len(table), pa.int32()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop_rows, "2 items lack a fold in some repeat"),
        (
            rename_item,
            r"1 of its items are not evaluated here \(x7\); 1 items lack a fold in some .* \(7\)",
        ),
        (move_one, r"1 groups lie in two folds \(p0\)"),
        (double_row, r"items stand twice in a repeat \(4\)"),
        (one_fold, "1 folds"),
        (lambda table: table.drop_columns(["repeat"]), "no column repeat"),
    ],
)
def test_a_fold_file_that_does_not_fit_is_refused(
    change: Callable[[pa.Table], pa.Table], told: str
) -> None:
    table = tabulate_folds(draw_folds(LABELS, 5, 2, seed=1, groups=GROUPS), ITEMS)
    with pytest.raises(ConfigError, match=f"mine.parquet: .*{told}"):
        parse_folds(change(table), ITEMS, LABELS, GROUPS, "mine.parquet")


def test_a_class_that_lies_in_one_fold_alone_is_refused() -> None:
    table = pa.table({"item": ["0", "1", "2", "3"], "repeat": [0] * 4, "fold": [0, 0, 1, 1]})
    told = "class a: all of it is in fold 0 of repeat 0, which leaves nothing of it to train on"
    with pytest.raises(ConfigError, match=told):
        parse_folds(table, ["0", "1", "2", "3"], ["a", "a", "b", "b"])


def test_splits_are_equal_whatever_the_numbers_of_their_folds() -> None:
    parts = [[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1], [-1, 0, 1, 1], [-1, 1, 0, 0]]
    assert find_distinct(np.array(parts)).tolist() == [True, False, True, True, False]
