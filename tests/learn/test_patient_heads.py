from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import PatientHeadSettings, standardise_by
from histo_ray.learn.heads.registry import HEADS, TrainsOn, load_patient_head
from histo_ray.learn.heads.ridge import RIDGE_PENALTIES
from histo_ray.learn.patient_heads import (
    PatientData,
    predict_patient_fold,
    predict_patient_repeat,
)
from histo_ray.types import TargetKind
from tests.learn.patient_data import make_data, make_features, make_labels, make_values

PATIENTS, DIM, FOLDS = 64, 85, 4
FEATURES = make_features(PATIENTS, DIM)
PARTS = np.random.default_rng(5).permutation(np.arange(PATIENTS) % FOLDS)
SETTINGS = {
    "ridge": PatientHeadSettings("ridge"),
    "pls": PatientHeadSettings("pls", (1.0, 2.0, 3.0), 3),
    "elastic-net": PatientHeadSettings("elastic-net", (1.0, 0.3), 3),
    "logistic": PatientHeadSettings("logistic", (10.0, 1.0, 0.1), 3),
    "cox": PatientHeadSettings("cox", (100.0, 10.0, 1.0), 3),  # numbers are signed times
}
BY_KIND = {entry.name: entry.kinds for entry in HEADS if entry.trains_on is TrainsOn.PATIENTS}
ALL_HEADS = pytest.mark.parametrize("head", [*BY_KIND])


def data_for(head: str) -> PatientData:
    binary = TargetKind.BINARY in BY_KIND[head]
    return make_data(FEATURES, (make_labels if binary else make_values)(FEATURES, 3))


def poison(data: PatientData, rows: np.ndarray, rng: np.random.Generator) -> PatientData:
    """Other labels for some rows: reversed and wild, yet of the kind that the head takes."""
    targets = data.targets.copy()
    if set(np.unique(targets)) <= {0.0, 1.0}:
        targets[rows] = 1 - targets[rows]
    else:
        targets[rows] = rng.normal(size=targets[rows].shape) * 1e6
    return replace(data, targets=targets)


@ALL_HEADS
@pytest.mark.parametrize("fold", [0, FOLDS - 1])
def test_labels_of_the_judged_bear_on_nothing(head: str, fold: int) -> None:
    data, rng = data_for(head), np.random.default_rng(fold)
    clean = predict_patient_fold(data, PARTS, fold, SETTINGS[head])
    bad = poison(data, np.flatnonzero(fold == PARTS), rng)
    for one, other in zip(
        predict_patient_fold(bad, PARTS, fold, SETTINGS[head]), clean, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    trained = poison(data, np.flatnonzero(fold != PARTS), rng)  # the trap itself would notice
    assert not np.allclose(
        predict_patient_fold(trained, PARTS, fold, SETTINGS[head]).predicted, clean.predicted
    )


@ALL_HEADS
def test_features_of_the_judged_bear_on_no_choice_and_on_no_other_patient(
    head: str,
) -> None:
    data = data_for(head)
    clean = predict_patient_fold(data, PARTS, 1, SETTINGS[head])
    features = data.features.copy()
    first = np.flatnonzero(PARTS == 1)[0]
    features[first] = 1e4
    found = predict_patient_fold(replace(data, features=features), PARTS, 1, SETTINGS[head])
    np.testing.assert_array_equal(found.choice, clean.choice)
    np.testing.assert_array_equal(found.inner_score, clean.inner_score)
    np.testing.assert_allclose(found.predicted[1:], clean.predicted[1:], atol=1e-9)
    assert not np.allclose(found.predicted[0], clean.predicted[0])


@given(seed=st.integers(0, 10_000), fold=st.integers(0, FOLDS - 1))
@settings(max_examples=25, deadline=None)
def test_whatever_the_labels_of_the_judged_ridge_does_not_see_them(seed: int, fold: int) -> None:
    rng = np.random.default_rng(seed)
    data = data_for("ridge")
    rows = np.flatnonzero(fold == PARTS)
    targets = data.targets.copy()
    targets[rows] = rng.choice([0.0, -1e300, 1e-300, np.nan, 3.0], size=(len(rows), 3))
    clean = predict_patient_fold(data, PARTS, fold, SETTINGS["ridge"])
    found = predict_patient_fold(replace(data, targets=targets), PARTS, fold, SETTINGS["ridge"])
    np.testing.assert_array_equal(found.choice, clean.choice)
    np.testing.assert_array_equal(found.inner_score, clean.inner_score)
    there = ~np.isnan(targets[rows])
    np.testing.assert_array_equal(found.predicted[there], clean.predicted[there])
    assert np.isnan(found.predicted[~there]).all()


@ALL_HEADS
def test_a_patient_without_a_label_is_as_one_who_is_not_there(head: str) -> None:
    whole = data_for(head)
    targets = whole.targets.copy()
    targets[5:12, 1] = np.nan
    here = np.ones(PATIENTS, bool)
    here[5:12] = False
    found = predict_patient_repeat(replace(whole, targets=targets), PARTS, SETTINGS[head])
    assert np.isnan(found.predicted[~here, 1]).all()
    assert np.isfinite(found.predicted[:, [0, 2]]).all()
    if head == "pls":  # targets share components, so the others must be away too
        whole = replace(whole, targets=whole.targets[:, [1]], names=("G1",))
    part = make_data(FEATURES[here], whole.targets[here])
    alone = predict_patient_repeat(part, PARTS[here], SETTINGS[head])
    column = 0 if head == "pls" else 1
    np.testing.assert_allclose(
        found.predicted[here, 1], alone.predicted[:, column], rtol=1e-6, atol=1e-9
    )
    np.testing.assert_array_equal(found.choice[:, 1], alone.choice[:, column])


def test_a_repeat_is_its_folds_and_leaves_out_who_is_in_none() -> None:
    data, parts = data_for("ridge"), PARTS.copy()
    parts[[3, 8]] = -1
    found = predict_patient_repeat(data, parts, SETTINGS["ridge"], (0, 2))
    assert np.isnan(found.predicted[[3, 8]]).all()
    assert found.predicted.shape == (PATIENTS, 3)
    assert found.choice.shape == found.inner_score.shape == (FOLDS, 3)
    wild = data.targets.copy()
    wild[[3, 8]] = 1e9
    again = predict_patient_repeat(replace(data, targets=wild), parts, SETTINGS["ridge"], (0, 2))
    np.testing.assert_array_equal(again.predicted, found.predicted)
    one = predict_patient_fold(data, parts, 2, SETTINGS["ridge"], (0, 2))
    np.testing.assert_array_equal(found.predicted[parts == 2], one.predicted)
    np.testing.assert_array_equal(found.choice[2], one.choice)


def test_the_whole_fold_is_that_of_a_plain_pipeline() -> None:
    data = data_for("ridge")
    rows, judged = PARTS != 2, PARTS == 2
    scaler = StandardScaler().fit(data.features[rows].astype(np.float64))
    plain = RidgeCV(np.array(RIDGE_PENALTIES) * DIM, alpha_per_target=True).fit(
        scaler.transform(data.features[rows]), data.targets[rows]
    )
    answer = predict_patient_fold(data, PARTS, 2, SETTINGS["ridge"])
    trained = data.features[rows]
    held = np.clip(data.features[judged], trained.min(0), trained.max(0))
    expected = plain.predict(scaler.transform(held))
    np.testing.assert_allclose(answer.predicted, expected, atol=1e-6)


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_a_channel_that_is_nearly_always_zero_decides_no_prediction(head: str) -> None:
    data = data_for(head)
    features = data.features.copy()
    features[:, 0] = 0
    features[np.flatnonzero(PARTS != 2)[0], 0] = 1e-3
    calm = predict_patient_fold(
        replace(data, features=features), PARTS, 2, SETTINGS[head]
    ).predicted
    features[np.flatnonzero(PARTS == 2)[0], 0] = 5.0
    wild = predict_patient_fold(
        replace(data, features=features), PARTS, 2, SETTINGS[head]
    ).predicted
    values = data.targets[PARTS != 2]
    assert not np.array_equal(wild[0], calm[0])
    reach = np.ptp(values, axis=0)
    assert (np.abs(wild - np.nanmean(values, axis=0)) < 2 * reach).all()


def test_a_feature_constant_in_training_is_zero_even_where_it_is_not_in_the_judged() -> None:
    train = np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    one, other = standardise_by(train, np.array([[3.0, 7.0]]))
    assert one[:, 1].tolist() == [0, 0, 0]
    assert other[:, 1].tolist() == [0]
    assert other[0, 0] == 0  # the mean
    np.testing.assert_allclose(one[:, 0].std(), 1)


def test_inner_folds_are_seeded_by_seed_repeat_and_fold() -> None:
    data = data_for("logistic")
    found = [
        predict_patient_fold(data, PARTS, 0, SETTINGS["logistic"], seed).inner_score
        for seed in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert len({tuple(scores) for scores in found}) == 3


def test_a_target_is_judged_the_same_whatever_stands_beside_it() -> None:
    data = data_for("logistic")
    alone = make_data(FEATURES, data.targets[:, [2]])
    both = predict_patient_fold(data, PARTS, 0, SETTINGS["logistic"])
    one = predict_patient_fold(alone, PARTS, 0, SETTINGS["logistic"])
    np.testing.assert_array_equal(both.predicted[:, 2], one.predicted[:, 0])


def test_a_site_effect_is_no_help_when_inner_folds_keep_sites_whole() -> None:
    rng = np.random.default_rng(0)
    site = rng.permutation(120) // 4
    labels = np.asarray(rng.permutation(30)[site] % 2, np.float64)  # nothing tells but the site
    features = rng.normal(size=(30, 40))[site] + 0.3 * rng.normal(size=(120, 40))
    blind = make_data(features, labels[:, None])
    scores = predict_patient_repeat(blind, site % 3, SETTINGS["logistic"]).inner_score
    assert scores.min() > 0.9
    kept = replace(blind, groups=[f"site {number}" for number in site])
    scores = predict_patient_repeat(kept, site % 3, SETTINGS["logistic"]).inner_score
    assert scores.mean() < 0.75


def test_arrays_that_may_not_be_written_are_taken() -> None:
    data = data_for("logistic")
    data.features.flags.writeable = data.targets.flags.writeable = False
    predict_patient_fold(data, PARTS, 0, SETTINGS["logistic"])


def test_bad_data_is_refused_with_a_remedy() -> None:
    data = data_for("ridge")
    with pytest.raises(ConfigError, match=r"both need a row for each patient, .* a name"):
        replace(data, names=("A",))
    features = data.features.copy()
    features[[4, 9], 3] = [np.nan, np.inf]
    with pytest.raises(ConfigError, match=r"2 patients have nan or infinity \(first: row 4\)"):
        replace(data, features=features)
    targets = data.targets.copy()
    targets[7, 1] = -np.inf
    with pytest.raises(ConfigError, match="target G1: some values are infinite"):
        replace(data, targets=targets)
    targets[7, 1] = 0
    targets[PARTS != 0, 2] = np.nan
    with pytest.raises(ConfigError, match="target G2: only 0 labelled patients outside fold 0"):
        predict_patient_fold(replace(data, targets=targets), PARTS, 0, SETTINGS["ridge"])


@pytest.mark.parametrize("bad", [{"inner_folds": 1}, {"choices": (1.0, 0.0)}])
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        PatientHeadSettings("ridge", **bad)


def test_defaults_run_from_the_most_regular_on() -> None:
    for name in BY_KIND:
        head = load_patient_head(name)
        ordered = sorted(head.choices, reverse=name != "pls")
        assert list(head.choices) == ordered
