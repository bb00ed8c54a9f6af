"""Scores of groups of patients as a table."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from histo_ray.learn.statistics.within_fold import (
    area_ends,
    measure_error,
    pool_auroc,
    pool_pearson,
)
from histo_ray.learn.targets.subgroup_scores import FEWEST_OF_CLASS, tabulate_subgroups
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
PATIENTS, REPEATS = 90, 3


@pytest.fixture(scope="module")
def truth() -> TargetTruth:
    rng = np.random.default_rng(0)
    values = (rng.random((PATIENTS, 2)) < 0.4).astype(float)
    values[:5, 1] = np.nan
    folds = np.stack([rng.permutation(PATIENTS) % 5 for _ in range(REPEATS)])
    return TargetTruth("mutation", ("A", "B"), values, folds, kind=TargetKind.BINARY)


@pytest.fixture(scope="module")
def predicted(truth: TargetTruth) -> Floats:
    rng = np.random.default_rng(1)
    filled = np.nan_to_num(truth.values)
    return filled[None] + rng.normal(size=(REPEATS, PATIENTS, 2))


COLUMNS = {"sex": ("f", "m", "f") * 28 + ("f",) * 2 + ("rare",) * 3 + ("",)}


def test_each_group_is_scored_by_its_own_patients(truth: TargetTruth, predicted: Floats) -> None:
    frame = tabulate_subgroups(truth, {"one": predicted}, COLUMNS).to_pandas()
    assert frame["group"].unique().tolist() == ["f", "m", "rare"]
    rows = np.array(COLUMNS["sex"]) == "m"
    found = pool_auroc(truth.values[rows, 1], predicted[:, rows, 1], truth.fold_ids[:, rows])
    labels = truth.values[rows, 1]
    positives, count = int(np.nansum(labels)), int((~np.isnan(labels)).sum())
    share = count / (~np.isnan(truth.values[:, 1])).sum()
    ends = area_ends(
        found.score, measure_error(found.influence), (positives, count - positives), share
    )
    row = frame[(frame["group"] == "m") & (frame["target"] == "B")].iloc[0]
    assert (row["n_patients"], row["positives"]) == (count, positives)
    assert row[["score", "low", "high"]].tolist() == pytest.approx(
        [found.score, ends.low, ends.high]
    )


def test_a_group_that_is_too_small_has_its_count_and_no_score(
    truth: TargetTruth, predicted: Floats
) -> None:
    frame = tabulate_subgroups(truth, {"one": predicted}, COLUMNS).to_pandas()
    rare = frame[frame["group"] == "rare"]
    assert rare["n_patients"].tolist() == [3, 3, 3]
    assert rare["n_targets"].tolist() == [0, 0, 0]
    assert rare[["score", "low", "high"]].isna().all(axis=None)
    assert FEWEST_OF_CLASS > 3


def test_the_mean_over_targets_stands_first(truth: TargetTruth, predicted: Floats) -> None:
    frame = tabulate_subgroups(truth, {"one": predicted}, COLUMNS).to_pandas()
    own = frame[frame["group"] == "f"]
    assert own["target"].tolist() == ["", "A", "B"]
    mean = own.iloc[0]
    assert mean["score"] == pytest.approx(own["score"].iloc[1:].mean())
    assert mean["n_targets"] == 2
    widths = own["high"] - own["low"]
    assert widths.iloc[0] < widths.iloc[1:].min()  # two targets together are surer


def test_folds_of_each_targets_own_and_a_column_of_one_group(
    truth: TargetTruth, predicted: Floats
) -> None:
    own = TargetTruth(
        "mutation", truth.targets, truth.values,
        np.stack([truth.fold_ids, truth.fold_ids[::-1]]), kind=TargetKind.BINARY,
    )  # fmt: skip
    frame = tabulate_subgroups(own, {"one": predicted}, COLUMNS).to_pandas()
    rows = np.array(COLUMNS["sex"]) == "f"
    known = pool_auroc(
        truth.values[rows, 1], predicted[:, rows, 1], truth.fold_ids[::-1][:, rows]
    ).score
    assert frame[(frame["group"] == "f") & (frame["target"] == "B")]["score"].item() == known
    alone = tabulate_subgroups(truth, {"one": predicted}, {"sex": ("f",) * PATIENTS})
    assert alone.num_rows == 0


def test_numbers_are_scored_by_their_correlation() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(60, 2))
    predicted = values[None] + rng.normal(size=(2, 60, 2))
    folds = np.stack([rng.permutation(60) % 3 for _ in range(2)])
    truth = TargetTruth("expression", ("A", "B"), values, folds, kind=TargetKind.CONTINUOUS)
    groups = ("x",) * 40 + ("y",) * 12 + ("z",) * 8
    frame = tabulate_subgroups(truth, {"one": predicted}, {"c": groups}).to_pandas()
    numbers = np.array([0] * 40 + [1] * 12 + [2] * 8)
    score, _ = pool_pearson(values, predicted, folds, numbers)
    by_target = frame[frame["target"] == "A"].set_index("group")
    assert by_target["score"][["x", "y"]].tolist() == pytest.approx(score[:2, 0].tolist())
    assert np.isnan(by_target["score"]["z"])  # 8 patients
    assert (by_target["positives"] == 0).all()


def test_one_fold_and_everybody_is_the_plain_auroc(predicted: Floats) -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(PATIENTS) < 0.5).astype(float)
    truth = TargetTruth(
        "mutation", ("A",), labels[:, None], np.zeros((1, PATIENTS), int), kind=TargetKind.BINARY
    )
    half = ("a",) * 45 + ("b",) * 45
    frame = tabulate_subgroups(truth, {"one": predicted[:1, :, :1]}, {"c": half}).to_pandas()
    assert frame["target"].tolist() == ["A", "A"]  # one target: no mean
    known = [
        roc_auc_score(labels[rows], predicted[0, rows, 0]) for rows in (slice(45), slice(45, 90))
    ]
    assert frame["score"].tolist() == pytest.approx(known)
