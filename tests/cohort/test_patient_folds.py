import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from histo_ray.cohort.patient_folds import (
    draw_shared_folds,
    draw_target_folds,
    read_given_folds,
    tabulate_outcome_folds,
)
from histo_ray.errors import ConfigError

PATIENTS = [f"P{number:02d}" for number in range(43)]
SITES = [f"S{number % 11}" for number in range(43)]


def expression() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(43, 7))
    values[3, 2] = np.nan
    return values


def test_shared_folds_give_each_fold_its_share_of_the_main_axis() -> None:
    values = np.outer(np.arange(43.0), np.ones(7)) + 0.01 * expression()
    folds = draw_shared_folds(values, 5, 3, seed=7, groups=PATIENTS)
    assert folds.fold_ids.shape == (3, 43)
    assert folds.seeds == (7, 8, 9)
    upper = folds.fold_ids[:, 22:]
    counts = np.stack([np.bincount(part, minlength=5) for part in upper])
    assert counts.min() >= 3
    assert (folds.fold_ids[0] != folds.fold_ids[1]).any()


def test_no_site_is_in_two_folds_where_sites_are_kept_together() -> None:
    shared = draw_shared_folds(expression(), 3, 4, seed=0, groups=SITES)
    mutated = (np.arange(43) % 4 == 0).astype(float)[:, None]
    own = draw_target_folds(mutated, ["TP53"], 3, 4, seed=0, groups=SITES)
    for part in [*shared.fold_ids, *own.fold_ids[0]]:
        assert all(len({part[i] for i in range(43) if SITES[i] == s}) == 1 for s in set(SITES))


def test_each_gene_has_folds_with_its_share_of_positives_and_leaves_the_unlabelled_out() -> None:
    values = np.zeros((43, 2))
    values[:10, 0] = 1
    values[30:37, 1] = 1
    values[[0, 5], 1] = np.nan
    folds = draw_target_folds(values, ["A", "B"], 5, 2, seed=0, groups=PATIENTS)
    assert folds.fold_ids.shape == (2, 2, 43)
    assert (folds.fold_ids[1][:, [0, 5]] == -1).all()
    assert (folds.fold_ids[0] >= 0).all()
    for repeat in range(2):
        assert np.bincount(folds.fold_ids[0, repeat, :10]).tolist() == [2] * 5
        assert np.bincount(folds.fold_ids[1, repeat, 30:37], minlength=5).min() == 1


def test_too_few_positives_are_named() -> None:
    values = np.zeros((43, 1))
    values[:3] = 1
    with pytest.raises(ConfigError, match=r"gene NF1: labels: too few items of mutated in 3"):
        draw_target_folds(values, ["NF1"], 5, 1, seed=0, groups=PATIENTS)


def test_too_few_sites_for_folds_are_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match="2 patients or sites cannot fill 5 folds; use fewer"):
        draw_shared_folds(expression(), 5, 1, seed=0, groups=["N", "S"] * 21 + ["N"])


def test_folds_become_a_table_and_are_read_again() -> None:
    values = expression()
    folds = draw_shared_folds(values, 5, 2, seed=0, groups=PATIENTS)
    table = tabulate_outcome_folds(folds, PATIENTS, ["G"] * 7, PATIENTS)
    again = read_given_folds(table, PATIENTS, values, ["G"] * 7, PATIENTS, "f", classes=False)
    np.testing.assert_array_equal(again.fold_ids, folds.fold_ids)
    assert again.seeds == folds.seeds


def two_genes() -> np.ndarray:
    values = np.zeros((43, 2))
    values[:10] = 1
    values[40, 1] = np.nan
    return values


def test_each_genes_folds_are_read_again_as_a_run_wrote_them() -> None:
    values, names = two_genes(), ["A", "B"]
    for groups in (PATIENTS, SITES):
        folds = draw_target_folds(values, names, 3, 4, seed=3, groups=groups)
        table = tabulate_outcome_folds(folds, PATIENTS, names, groups)
        again = read_given_folds(table, PATIENTS, values, names, groups, "f", classes=True)
        np.testing.assert_array_equal(again.fold_ids, folds.fold_ids)
        assert (again.n_folds, again.seeds) == (3, folds.seeds)
    alone = read_given_folds(table, PATIENTS, values[:, 1:], ["B"], SITES, "f", classes=True)
    kept = (folds.fold_ids[1] >= 0).any(1)
    np.testing.assert_array_equal(alone.fold_ids[0], folds.fold_ids[1][kept])


@pytest.mark.parametrize(
    ("names", "rename", "groups", "told"),
    [
        (["A", "KRAS"], {}, PATIENTS, "f: no folds of KRAS, only of A, B; give a file"),
        (["A", "B"], {"P07": "X"}, PATIENTS, r"gene A: 1 of its items .*\(X\); 1 items lack"),
        (["A", "B"], {p: f"Q{p}" for p in PATIENTS}, PATIENTS, "none of its items .* other data"),
        (["A", "B"], {}, SITES, "gene A: .* groups lie in two folds"),
    ],
)
def test_a_file_of_each_genes_folds_that_does_not_fit_is_refused(
    names: list[str], rename: dict[str, str], groups: list[str], told: str
) -> None:
    folds = draw_target_folds(two_genes(), ["A", "B"], 3, 1, seed=3, groups=PATIENTS)
    table = tabulate_outcome_folds(folds, PATIENTS, ["A", "B"], PATIENTS)
    items = pa.array([rename.get(name, name) for name in table["item"].to_pylist()])
    table = table.set_column(0, "item", items)
    with pytest.raises(ConfigError, match=told):
        read_given_folds(table, PATIENTS, two_genes(), names, groups, "f", classes=True)


def test_each_genes_folds_cannot_be_shared_and_one_genes_can() -> None:
    folds = draw_target_folds(two_genes(), ["A", "B"], 3, 1, seed=3, groups=PATIENTS)
    table = tabulate_outcome_folds(folds, PATIENTS, ["A", "B"], PATIENTS)
    with pytest.raises(ConfigError, match=r"for each of 2 genes \(A, B\).* share"):
        read_given_folds(table, PATIENTS, expression(), ["G"] * 7, PATIENTS, "f", classes=False)
    one = table.slice(0, 43)
    read_given_folds(one, PATIENTS, expression(), ["G"] * 7, PATIENTS, "f", classes=False)


def test_as_many_sites_as_folds_are_one_split_and_equal_repeats_are_left_out() -> None:
    sites = [f"S{number % 3}" for number in range(43)]
    shared = draw_shared_folds(expression(), 3, 10, seed=5, groups=sites)
    assert shared.fold_ids.shape == (1, 43)
    assert shared.seeds == (5,)
    mutated = (np.random.default_rng(0).random((43, 2)) < 0.5).astype(float)
    own = draw_target_folds(mutated, ["A", "B"], 3, 10, seed=5, groups=sites)
    assert own.fold_ids.shape == (2, 1, 43)
    table = tabulate_outcome_folds(shared, PATIENTS, [], sites).to_pandas()
    twice = table.assign(repeat=1, fold=2 - table["fold"])
    doubled = pa.Table.from_pandas(pd.concat([table, twice]))
    given = read_given_folds(doubled, PATIENTS, expression(), [], sites, "f", classes=False)
    np.testing.assert_array_equal(given.fold_ids, shared.fold_ids)


def test_given_folds_that_leave_a_gene_nothing_to_train_on_are_refused() -> None:
    table = pa.table(
        {"item": PATIENTS, "repeat": [0] * 43, "fold": [int(number < 20) for number in range(43)]}
    )
    values = np.zeros((43, 1))
    values[:4] = 1
    with pytest.raises(ConfigError, match=r"f: gene KRAS: class mutated: all of it is in fold 1"):
        read_given_folds(table, PATIENTS, values, ["KRAS"], PATIENTS, "f", classes=True)


def test_a_table_of_each_genes_folds_names_the_gene() -> None:
    values = np.zeros((43, 2))
    values[:10] = 1
    values[40, 1] = np.nan
    folds = draw_target_folds(values, ["A", "B"], 5, 2, seed=3, groups=PATIENTS)
    table = tabulate_outcome_folds(folds, PATIENTS, ["A", "B"], PATIENTS)
    frame = table.to_pandas()
    assert len(frame) == 2 * 43 + 2 * 42
    assert set(frame["target"]) == {"A", "B"}
    row = frame.query("target == 'B' and item == 'P07' and repeat == 1")
    assert row["fold"].item() == folds.fold_ids[1, 1, 7]
    assert row["seed"].item() == 4
