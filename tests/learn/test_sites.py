"""What sites tell: predicted from features, and predicting targets."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from histo_ray.learn.fold_data import standardise_by
from histo_ray.learn.targets.site_means import PRIOR, predict_by_site, tabulate_site_means
from histo_ray.learn.targets.site_prediction import (
    PENALTY,
    SiteTruth,
    predict_sites,
    tabulate_site_prediction,
)
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
PATIENTS, DIM = 75, 90


def truth_of(seed: int = 0) -> SiteTruth:
    rng = np.random.default_rng(seed)
    sites = np.repeat([0, 1, 2], [35, 25, 15])
    folds = np.stack([rng.permutation(PATIENTS) % 5 for _ in range(2)])
    return SiteTruth(("A", "B", "C"), sites, folds, np.arange(PATIENTS))


def test_a_site_is_predicted_as_by_scikit_learn() -> None:
    truth, rng = truth_of(), np.random.default_rng(1)
    features = rng.normal(size=(PATIENTS, DIM)).astype(np.float32)
    found = predict_sites(features, truth)
    assert found.shape == (2, PATIENTS, 3)
    tested = truth.fold_ids[1] == 3
    train, test = standardise_by(*(features[rows].astype(float) for rows in (~tested, tested)))
    model = LogisticRegression(C=1 / (PENALTY * DIM), tol=1e-8, max_iter=5000)
    model.fit(train, truth.sites[~tested] == 2)
    assert found[1, tested, 2] == pytest.approx(model.decision_function(test), abs=1e-3)


def test_noise_is_told_as_by_a_guess_and_a_shift_of_a_site_is_told() -> None:
    truth, rng = truth_of(), np.random.default_rng(2)
    noise = rng.normal(size=(PATIENTS, DIM))
    shifted = noise + 1.5 * rng.normal(size=(3, DIM))[truth.sites]
    table = tabulate_site_prediction(
        truth, {name: predict_sites(v, truth) for name, v in (("noise", noise), ("shift", shifted))}
    ).to_pandas()
    overall = table[table["site"] == ""].set_index(["encoder", "metric"])
    guess = overall.loc["noise", "auroc"]
    assert guess["low"] < 0.5 < guess["high"]
    assert overall.loc["shift", "auroc"]["score"] > 0.95
    assert overall.loc["shift", "auroc"]["low"] > 0.8
    accuracy = overall.loc["noise", "balanced_accuracy"]
    assert accuracy["chance"] == pytest.approx(1 / 3)
    assert accuracy["low"] < 1 / 3 < accuracy["high"]
    sites = table[(table["encoder"] == "shift") & (table["metric"] == "recall")]
    assert sites["site"].tolist() == ["A", "B", "C"]
    assert sites["n_patients"].tolist() == [35, 25, 15]
    assert overall.loc["shift", "balanced_accuracy"]["score"] == pytest.approx(
        sites["score"].mean()
    )


def binary(
    values: Floats, folds: npt.NDArray[np.integer], groups: tuple[str, ...] | None
) -> TargetTruth:
    return TargetTruth(
        "mutation", ("T",), values[:, None], folds, groups=groups, kind=TargetKind.BINARY
    )


def test_a_patient_is_predicted_by_its_site_in_the_training_part_alone() -> None:
    values = np.array([1.0, 1, 0, 0, 1, np.nan, 0])
    folds = np.array([[0, 1, 1, 0, 1, 0, 1]])
    sites = np.array([0, 0, 0, 1, 1, 1, -1])
    truth = binary(values, folds, None)
    found = predict_by_site(truth, sites)[0, :, 0]
    # fold 0 is tested; trained on are 1, 0 (site 0), 1 (site 1) and 0 without a site: mean 1/2
    assert found[0] == pytest.approx((1 + 0.5 * PRIOR) / (2 + PRIOR))
    assert found[3] == pytest.approx((1 + 0.5 * PRIOR) / (1 + PRIOR))
    assert np.isnan(found[[5, 6]]).all()  # no label; no site
    changed = values.copy()
    changed[[0, 3]] = 1 - changed[[0, 3]]  # labels of the test part
    again = predict_by_site(binary(changed, folds, None), sites)[0, :, 0]
    assert again[[0, 3]].tolist() == found[[0, 3]].tolist()


def test_sites_that_differ_predict_and_sites_that_are_kept_together_have_no_score() -> None:
    rng = np.random.default_rng(3)
    sites = np.repeat(np.arange(6), 20)
    values = (rng.random(120) < np.array([0.1, 0.2, 0.4, 0.5, 0.8, 0.9])[sites]).astype(float)
    names = [f"S{number}" for number in sites]
    folds = np.stack([rng.permutation(120) % 4 for _ in range(3)])
    (row,) = tabulate_site_means(binary(values, folds, None), names).to_pylist()
    assert row["score"] > 0.7
    assert row["low"] > 0.5
    assert row["explained"] > 0.1
    assert (row["n_patients"], row["n_sites"], row["metric"]) == (120, 6, "auroc")
    whole = binary(values, (sites % 3)[None], tuple(names))
    (kept,) = tabulate_site_means(whole, names).to_pylist()
    assert np.isnan([kept["score"], kept["low"]]).all()
    assert tabulate_site_means(whole, ["S0"] * 120).num_rows == 0
